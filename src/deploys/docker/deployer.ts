import { Refusal } from '../../domain/failures.ts';
import { formatReference } from '../../domain/image-reference.ts';
import type { Deployed } from '../../domain/outcomes.ts';
import { type Container, findImage, isOwnLabel } from '../../platform/docker/container.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import { requireScanned } from '../../platform/docker/scanned.ts';
import type { Deployer, Work } from '../deploy.ts';
import { explained } from '../kit/docker.ts';
import { refused } from '../kit/refusals.ts';
import { runs, withImage } from './digests.ts';
import { inspectPresent, start, waitUntilReady } from './readiness.ts';
import { noContainer, requirePlatform, requireReplaceable } from './refusals.ts';
import {
  allOf,
  canContinue,
  type DockerDeployerOptions,
  prepare,
  type Replacement,
  replaceContainer,
  replacementOf,
  restoreKept,
  rollBackSlot,
  type TargetImage,
  targetImageOf,
} from './replacement.ts';
import { rollBackContainers } from './rollback.ts';
import {
  type DockerDeployPlan,
  type DockerTarget,
  findSlots,
  isInterrupted,
  isWantedRunning,
  readDeployLabels,
  readSlot,
  readSlots,
  runningIn,
  type Slot,
} from './slot.ts';

/**
 * `deploy: docker`: recreates containers of this host with the new image and the settings that they have. What ran before is kept
 * beside, stopped, until `settle`; `restore` starts it again. Images are never removed here: the one that ran before stays on the host,
 * so that a rollback of days later needs no registry either; `docker image prune` takes those that no container uses.
 */
export function createDockerDeployer(options: DockerDeployerOptions): Deployer<DockerDeployPlan> {
  const { docker } = options;
  const within = <Result>(
    target: DockerTarget,
    work: Pick<Work, 'turn' | 'signal'>,
    act: (replacement: Replacement) => Promise<Result>,
  ) => explained(async () => act(await replacementOf(options, target, work)));
  return {
    running: (target) => explained(async () => runningIn(docker, await findSlots(docker, target.deploy), target.image)),
    // A container keeps the settings that it has, so nothing but the image changes.
    foresee: (target, { signal }) => within(target, { turn: 0, signal }, (foreseen) => planTasks(foreseen).then(() => undefined)),
    deploy: (target, work) => within(target, work, (replacement) => deployContainers(replacement, work.only)),
    restore: (target, before, work) => within(target, work, (replacement) => rollBackContainers(replacement, before, work.only)),
    settle: (target) =>
      explained(async () => {
        for (const slot of await findSlots(docker, target.deploy)) await settle(options, slot);
      }),
  };
}

/** Volumes stay: the new container uses those of the old one. */
async function settle({ docker, log }: DockerDeployerOptions, slot: Slot): Promise<void> {
  const { name, kept, next } = slot;
  if (isInterrupted(slot)) {
    log.warn({ container: name }, 'a deploy was cut off here, so nothing is removed: deploy it again, or roll it back');
    return;
  }
  for (const left of [kept, next]) if (left !== undefined) await removeContainer(docker, left.Id, { volumes: false });
}

/** What to do with the container of one slot. */
interface SlotTask {
  readonly slot: Slot;
  /** Where it has the image already. `starts`: it is to run but does not. `waits`: this rollout brought it. */
  readonly there?: { readonly current: Container; readonly starts: boolean; readonly waits: boolean };
  /** Whether a new one has to be made; false where an earlier try of the same rollout did. */
  readonly isNew: boolean;
}

/**
 * Deploys the image to all containers that are meant, side by side. Refuses whatever it can before it touches a container.
 * @throws Refusal `DeployRefused`, `DeployFailed`, `CredentialsRefused`; RateLimit; an ordinary error; the signal's reason
 */
async function deployContainers(replacement: Replacement, only?: readonly string[]): Promise<Deployed> {
  const { docker, target } = replacement;
  const targetImage = targetImageOf(replacement, target.image);
  const tasks = await planTasks(replacement, only);
  if (tasks.some(({ there }) => there === undefined)) {
    await targetImage.ensure();
    await requireScanned(docker, target.plan, target.image);
  }
  await requireLabels(replacement, tasks);
  await prepareAll(replacement, tasks, targetImage);

  const texts = await allOf(tasks.map((task) => finish(replacement, task)));
  const names = tasks.map(({ slot }) => slot.name);
  const running = await runningIn(docker, await readSlots(docker, names), target.image);
  const changed = tasks.some(({ there }) => there === undefined || there.starts || there.waits);
  return { kind: 'deployed', changed, running, text: texts.join('; ') };
}

/** Refuses whatever it can without the image, and changes nothing. */
async function planTasks(replacement: Replacement, only?: readonly string[]): Promise<SlotTask[]> {
  const { docker, target, daemon } = replacement;
  const slots = await findSlots(docker, target.deploy, only);
  await requireContainers(replacement, slots);
  requirePlatform(target.image, daemon);
  return await Promise.all(slots.map((slot) => assess(replacement, slot)));
}

/** A container that was missing from the start is in no batch, so no batch would report it. */
async function requireContainers({ docker, target }: Replacement, meant: readonly Slot[]): Promise<void> {
  const { image, deploy } = target;
  const { containers } = deploy;
  if ('label' in containers) {
    if (meant.length === 0) throw noContainer(containers, image);
    return;
  }
  const others = containers.names.filter((name) => meant.every((slot) => slot.name !== name));
  const slots = await readSlots(docker, others);
  const missing = slots.find(({ current, kept }) => current === undefined && kept === undefined);
  if (missing !== undefined) throw noContainer(missing, image);
}

async function assess(replacement: Replacement, slot: Slot): Promise<SlotTask> {
  const { docker, daemon, target, ownContainer } = replacement;
  const { current, kept } = slot;
  const source = current ?? kept;
  if (source === undefined) throw noContainer(slot, target.image);
  if (canContinue(slot, targetImageOf(replacement, target.image), replacement)) return { slot, isNew: false };
  if (current !== undefined && runs(await withImage(docker, current), target.image)) {
    const labels = readDeployLabels(current.Config.Labels);
    // The container that it replaced is still kept: this rollout deployed it, and it is not settled yet.
    const waits = labels?.rollout === target.rollout && labels.replaces === kept?.Id;
    const wantsToRun = waits ? labels.starts : isInterrupted(slot) || isWantedRunning(current);
    return { slot, isNew: false, there: { current, starts: wantsToRun && !current.State.Running, waits } };
  }
  await requireReplaceable(docker, source, daemon, ownContainer);
  return { slot, isNew: true };
}

/** A label that came from the old image would be lost, and the stage would not find its container any more. */
async function requireLabels({ docker, target }: Replacement, tasks: readonly SlotTask[]): Promise<void> {
  const { containers } = target.deploy;
  if (!('label' in containers)) return;
  const [key = '', ...wanted] = containers.label.split('=');
  const { repository, digest } = target.image;
  const next = await findImage(docker, formatReference({ repository, digest }));
  for (const { isNew, slot } of tasks) {
    const source = slot.current ?? slot.kept;
    if (!isNew || source === undefined) continue;
    const { Config, Image, Name } = source;
    const isOwn = isOwnLabel(key, Config.Labels, (await findImage(docker, Image))?.Config?.Labels);
    const value = (isOwn ? Config : next?.Config)?.Labels?.[key];
    if (value !== undefined && (wanted.length === 0 || value === wanted.join('='))) continue;
    throw refused(
      `expected ${Name.slice(1)} to keep the label ${containers.label} that deploy.docker finds it by, but it comes from its image, and the ` +
        'new image does not have it: add it to the image, or name the containers',
    );
  }
}

/** All or none: if one cannot be created, those created for the others are removed. */
async function prepareAll(replacement: Replacement, tasks: readonly SlotTask[], targetImage: TargetImage): Promise<void> {
  const { docker, signal } = replacement;
  const prepared: string[] = [];
  try {
    for (const { isNew, slot } of tasks) {
      if (!isNew) continue;
      signal.throwIfAborted();
      prepared.push(slot.name);
      await prepare(replacement, slot, targetImage);
    }
    signal.throwIfAborted();
  } catch (error) {
    for (const slot of await readSlots(docker, prepared)) {
      if (slot.next !== undefined && !isInterrupted(slot)) await removeContainer(docker, slot.next.Id);
    }
    throw error;
  }
}

/** @returns what was done, for people */
async function finish(replacement: Replacement, { slot, there }: SlotTask): Promise<string> {
  const { docker, log, target, turn, signal } = replacement;
  const { name, next } = slot;
  if (there === undefined) await replaceOrRollBack(replacement, name);
  else {
    if (isInterrupted(slot)) await rollBackSlot(replacement, slot);
    else if (next !== undefined) await removeContainer(docker, next.Id);
    if (there.starts) await start(docker, there.current.Id, name);
    else if (!there.waits)
      return `${name} ${there.current.State.Running ? 'runs it already' : 'has it already, and is left stopped'}`;
  }
  const current = await inspectPresent(docker, name, name);
  const { Image: image, Labels } = current.Config;
  const { rollout } = target;
  log.info({ container: name, rollout, turn, image, digest: target.image.digest }, 'a container was deployed');
  const isToRun = there ? there.starts || current.State.Running : readDeployLabels(Labels)?.starts === true;
  if (!isToRun) return `recreated ${name}, and left it stopped as it was`;
  const restarts = there?.current.RestartCount ?? 0;
  await waitUntilReady({ docker, id: current.Id, name, timeoutMs: target.deploy.timeoutMs, restarts, signal });
  return `recreated ${name}`;
}

/** If the new container does not start because of the host, the old one is started again, and the image is not blamed. */
async function replaceOrRollBack(replacement: Replacement, name: string): Promise<void> {
  try {
    await replaceContainer(replacement, name);
  } catch (error) {
    const slot = await readSlot(replacement.docker, name);
    if (!(error instanceof Refusal) || error.type !== 'DeployRefused' || slot.kept === undefined) throw error;
    throw refused(`${error.message}; ${await restoreAfterFailure(replacement, slot)}`, error, error.details);
  }
}

/** @returns what came of it, for people */
async function restoreAfterFailure(replacement: Replacement, slot: Slot): Promise<string> {
  try {
    await restoreKept(replacement, slot);
    return 'what ran before runs again';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return `what ran before could NOT be brought back, so the service may be down: ${error.message}`;
  }
}
