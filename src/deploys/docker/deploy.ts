import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import { formatReference, type Repository, registryOf } from '../../domain/image-reference.ts';
import type { Deployed } from '../../domain/outcomes.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { ensureImage } from '../../platform/docker/images.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import { requireScanned } from '../../platform/docker/scanned.ts';
import type { Target, Work } from '../deploy.ts';
import { isWantedRunning, readDeployLabels } from './deploy-labels.ts';
import { runningImage, runs } from './digests.ts';
import type { DockerDeployerOptions } from './options.ts';
import type { DockerDeployPlan } from './plan.ts';
import { start, waitUntilReady } from './readiness.ts';
import { type DaemonInfo, noContainer, requireLabel, requirePlatform, requireReplaceable } from './refusals.ts';
import {
  canContinue,
  freeSlot,
  prepare,
  type Replacement,
  replaceContainer,
  rollBackSlot,
  type TargetImage,
} from './replacement.ts';
import { findSlots, isInterrupted, readSlot, type Slot } from './slot.ts';

/** What to do with the container of one slot. */
type SlotTask = {
  readonly slot: Slot;
} /** `starts`: it has the image, and is to run but does not. `waits`: this rollout brought it. */ & (
  | { readonly kind: 'there'; readonly current: Container; readonly starts: boolean; readonly waits: boolean }
  | { readonly kind: 'replace'; readonly starts: boolean }
  | { readonly kind: 'continue' }
);

/**
 * Deploys the image to all containers that are meant, side by side. Refuses whatever it can before it touches a container.
 * @throws Refusal `DeployRefused`, `DeployFailed`, `CredentialsRefused`; RateLimit; an ordinary error; the signal's reason
 */
export async function deployContainers(
  options: DockerDeployerOptions,
  target: Target<DockerDeployPlan>,
  work: Work,
): Promise<Deployed> {
  const { docker } = options;
  const { deploy, image } = target;
  const slots = await findSlots(docker, deploy, work.only);
  await requireContainers(docker, target, slots);
  const daemon = await describeDaemon(docker);
  requirePlatform(image, daemon);
  const replacement = replacementOf(options, target, work, daemon);
  const targetImage = targetImageOf(options, image, daemon, work.signal);

  const tasks = await Promise.all(slots.map((slot) => assess(replacement, target, slot, targetImage, options.ownContainer)));
  if (tasks.some(({ kind }) => kind !== 'there')) {
    await targetImage.ensure();
    await requireScanned(docker, target.plan, image);
  }
  await requireLabels(docker, target, tasks);
  await prepareAll(replacement, tasks, targetImage, work.signal);

  const texts = await allOf(tasks.map((task) => finish(replacement, task, target, work)));
  const after = await Promise.all(slots.map(({ name }) => readSlot(docker, name)));
  const running = await Promise.all(
    after.map(async ({ name, current }) =>
      current === undefined ? [] : [runningImage(name, current, await findImage(docker, current.Image), image)],
    ),
  );
  const changed = tasks.some((task) => task.kind !== 'there' || task.starts || task.waits);
  return { kind: 'deployed', changed, running: running.flat(), text: texts.join('; ') };
}

/** Refuses what `deployContainers` would, as far as that is known without the image, and changes nothing. */
export async function foresee(
  options: DockerDeployerOptions,
  target: Target<DockerDeployPlan>,
  signal: AbortSignal,
): Promise<void> {
  const { docker } = options;
  const slots = await findSlots(docker, target.deploy);
  await requireContainers(docker, target, slots);
  const daemon = await describeDaemon(docker);
  requirePlatform(target.image, daemon);
  const replacement = replacementOf(options, target, { turn: 0, signal }, daemon);
  const targetImage = targetImageOf(options, target.image, daemon, signal);
  await Promise.all(slots.map((slot) => assess(replacement, target, slot, targetImage, options.ownContainer)));
}

/** A container that was missing from the start is in no batch, so no batch would report it. */
async function requireContainers(
  docker: Docker,
  { deploy: { containers }, image }: Target<DockerDeployPlan>,
  meant: readonly Slot[],
): Promise<void> {
  if ('label' in containers) {
    if (meant.length === 0) throw noContainer(containers, image);
    return;
  }
  const others = containers.names.filter((name) => meant.every((slot) => slot.name !== name));
  const slots = await Promise.all(others.map((name) => readSlot(docker, name)));
  const missing = slots.find(({ current, kept }) => current === undefined && kept === undefined);
  if (missing !== undefined) throw noContainer(missing, image);
}

export function replacementOf(options: DockerDeployerOptions, target: Target, work: Work, daemon: DaemonInfo): Replacement {
  const { docker, log, now = () => new Date() } = options;
  return { docker, log, now, daemon, rollout: target.rollout, turn: work.turn };
}

export async function describeDaemon(docker: Docker): Promise<DaemonInfo> {
  const [version, info, containers] = await Promise.all([docker.version(), docker.info(), docker.listContainers({ all: true })]);
  return { platform: `${version.Os}/${version.Arch}`, hostName: String(info.Name), containers };
}

type NamedImage = Parameters<typeof formatReference>[0];

/** An image by digest, with the tag in its name so that people can read it. */
export function targetImageOf(
  options: DockerDeployerOptions,
  image: NamedImage,
  { platform }: DaemonInfo,
  signal: AbortSignal,
): TargetImage {
  const { docker, credentials, now = () => new Date() } = options;
  const { repository, digest, tag } = image;
  const byDigest = formatReference({ repository, ...(digest && { digest }) });
  return {
    reference: formatReference({ repository, ...(tag && { tag }), ...(digest && { digest }) }),
    ensure: () =>
      ensureImage(docker, byDigest, {
        platform,
        credentials: () => credentials(registryOf(repository as Repository)),
        signal,
        now,
      }),
  };
}

async function assess(
  replacement: Replacement,
  { image }: Target,
  slot: Slot,
  targetImage: TargetImage,
  own?: string,
): Promise<SlotTask> {
  const { docker, daemon, rollout } = replacement;
  const source = slot.current ?? slot.kept;
  if (source === undefined) throw noContainer(slot, image);
  if (canContinue(slot, targetImage, replacement)) return { slot, kind: 'continue' };
  const { current, kept } = slot;
  if (current !== undefined && runs(current, await findImage(docker, current.Image), image)) {
    const labels = readDeployLabels(current.Config.Labels);
    // The container that it replaced is still kept: this rollout deployed it, and it is not settled yet.
    const waits = labels?.rollout === rollout && labels.replaces === kept?.Id;
    const wantsToRun = waits ? labels.starts : isInterrupted(slot) || isWantedRunning(current);
    return { slot, kind: 'there', current, starts: wantsToRun && !current.State.Running, waits };
  }
  await requireReplaceable(docker, source, daemon, own);
  return { slot, kind: 'replace', starts: isInterrupted(slot) || isWantedRunning(source) };
}

/** A label that came from the old image would be lost, and the stage would not find its container any more. */
async function requireLabels(
  docker: Docker,
  { deploy, image }: Target<DockerDeployPlan>,
  tasks: readonly SlotTask[],
): Promise<void> {
  const { containers } = deploy;
  if (!('label' in containers)) return;
  const { repository, digest } = image;
  const next = await findImage(docker, formatReference({ repository, digest }));
  for (const { kind, slot } of tasks) {
    const source = slot.current ?? slot.kept;
    if (kind !== 'replace' || source === undefined) continue;
    requireLabel(containers.label, source, await findImage(docker, source.Image), next);
  }
}

/** All or none: if one cannot be created, those created for the others are removed. */
async function prepareAll(
  replacement: Replacement,
  tasks: readonly SlotTask[],
  targetImage: TargetImage,
  signal: AbortSignal,
): Promise<void> {
  const { docker } = replacement;
  const prepared: string[] = [];
  try {
    for (const { kind, slot } of tasks) {
      if (kind !== 'replace') continue;
      signal.throwIfAborted();
      prepared.push(slot.name);
      await prepareSlot(replacement, slot, targetImage);
    }
    signal.throwIfAborted();
  } catch (error) {
    for (const name of prepared) {
      const slot = await readSlot(docker, name);
      if (slot.next !== undefined && !isInterrupted(slot)) await removeContainer(docker, slot.next.Id);
    }
    throw error;
  }
}

/** Rolls an interrupted deploy back first, so that there is one state to start from, with the owner's settings. */
export async function prepareSlot(replacement: Replacement, found: Slot, targetImage: TargetImage): Promise<void> {
  if (isInterrupted(found)) await rollBackSlot(replacement, found);
  const slot = isInterrupted(found) ? await readSlot(replacement.docker, found.name) : found;
  if (slot.current === undefined) throw new Error(`somebody removed ${slot.name} while it was deployed; it is deployed again`);
  await prepare(replacement, slot, slot.current, isWantedRunning(slot.current), targetImage);
}

/** @returns what was done, for people */
async function finish(
  replacement: Replacement,
  task: SlotTask,
  { deploy, image }: Target<DockerDeployPlan>,
  work: Work,
): Promise<string> {
  const { docker, log, rollout, turn } = replacement;
  const { name, next } = task.slot;
  if (task.kind === 'there') {
    if (isInterrupted(task.slot)) await rollBackSlot(replacement, task.slot);
    else if (next !== undefined) await removeContainer(docker, next.Id);
    if (task.starts) await start(docker, task.current.Id, name);
    if (!task.starts && !task.waits)
      return `${name} ${task.current.State.Running ? 'runs it already' : 'has it already, and is left stopped'}`;
  } else await replaceOrRollBack(replacement, name);
  const { current } = await readSlot(docker, name);
  if (current === undefined) throw new Error(`somebody removed ${name} while it was deployed; it is deployed again`);
  log.info({ container: name, rollout, turn, image: current.Config.Image, digest: image.digest }, 'a container was deployed');
  const isToRun =
    task.kind === 'there' ? task.starts || current.State.Running : readDeployLabels(current.Config.Labels)?.starts === true;
  if (!isToRun) return `recreated ${name}, and left it stopped as it was`;
  const restarts = task.kind === 'there' ? task.current.RestartCount : 0;
  await waitUntilReady({ docker, id: current.Id, name, timeoutMs: deploy.timeoutMs, restarts, signal: work.signal });
  return `recreated ${name}`;
}

/** If the new container does not start because of the host, the old one is started again, and the image is not blamed. */
async function replaceOrRollBack(replacement: Replacement, name: string): Promise<void> {
  try {
    await replaceContainer(replacement, name);
  } catch (error) {
    const slot = await readSlot(replacement.docker, name);
    if (!(error instanceof Refusal) || error.type !== 'DeployRefused' || slot.kept === undefined) throw error;
    throw new Refusal('DeployRefused', `${error.message}; ${await rollBackAfterFailure(replacement, slot)}`, error.details, {
      cause: error,
    });
  }
}

/** @returns what came of it, for people */
async function rollBackAfterFailure(replacement: Replacement, slot: Slot): Promise<string> {
  try {
    await freeSlot(replacement, slot);
    await rollBackSlot(replacement, await readSlot(replacement.docker, slot.name));
    return 'what ran before runs again';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return `what ran before could NOT be brought back, so the service may be down: ${error.message}`;
  }
}

/** Waits for all, then fails with every failure: none goes on unnoticed in the background. */
export async function allOf<Result>(acts: readonly Promise<Result>[]): Promise<Result[]> {
  const settled = await Promise.allSettled(acts);
  const errors = settled.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
  const failures = errors.filter((error) => error instanceof Refusal);
  const [first] = failures;
  if (first !== undefined && failures.length > 1) {
    const details = failures.flatMap((failure) => failure.details).slice(0, 1);
    throw new Refusal(
      first.type,
      failures
        .map(({ message }) => message)
        .join('\n')
        .slice(0, 2000),
      details,
      { cause: first },
    );
  }
  if (errors.length > 0) throw first ?? errors[0];
  return settled.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
}
