import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, formatReference, type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import type { Target, Work } from '../deploy.ts';
import { allOf, describeDaemon, prepareSlot, replacementOf, targetImageOf } from './deploy.ts';
import { isWantedRunning, readDeployLabels } from './deploy-labels.ts';
import { runningImage, runsPrevious } from './digests.ts';
import type { DockerDeployerOptions } from './options.ts';
import type { DockerDeployPlan } from './plan.ts';
import { requireRunning, start } from './readiness.ts';
import { requireReplaceable } from './refusals.ts';
import {
  canContinue,
  freeSlot,
  quickStopSeconds,
  type Replacement,
  replaceContainer,
  rollBackSlot,
  type TargetImage,
} from './replacement.ts';
import { isInterrupted, readSlot, type Slot } from './slot.ts';

/** For an image that is there, only not by name. */
const pullWithinMs = 10_000;

interface RollbackRun {
  readonly options: DockerDeployerOptions;
  readonly target: Target<DockerDeployPlan>;
  readonly replacement: Replacement;
  readonly signal: AbortSignal;
}

/**
 * Rolls back to what ran before: the kept container, or else a new one with its image and the current settings. It waits until that runs,
 * not until it is healthy: it was healthy before, time matters, and the watch checks its health afterwards.
 * @throws Refusal `NothingBefore`, `DeployRefused`, `DeployFailed`; an ordinary error
 */
export async function rollBackContainers(
  options: DockerDeployerOptions,
  target: Target<DockerDeployPlan>,
  before: readonly RunningImage[],
  work: Work,
): Promise<Deployed> {
  const { docker } = options;
  const meant = before.filter(({ name }) => work.only === undefined || work.only.includes(name));
  if (meant.length === 0) {
    throw new Refusal(
      'NothingBefore',
      `expected containers of stage ${target.stage.name} that ran before ${target.image.tag}, found none: stop what runs now, or deploy a good image`,
    );
  }
  const replacement = replacementOf(options, target, work, await describeDaemon(docker));
  const run: RollbackRun = { options, target, replacement, signal: work.signal };
  const done = await allOf(meant.map((each) => rollBackContainer(run, each)));
  const running = await Promise.all(meant.map(({ name }) => runningNow(docker, name, target)));
  return {
    kind: 'deployed',
    changed: done.some(({ changed }) => changed),
    running: running.flat(),
    text: done.map(({ text }) => text).join('; '),
  };
}

interface RollbackResult {
  readonly changed: boolean;
  readonly text: string;
}

async function rollBackContainer(run: RollbackRun, before: RunningImage): Promise<RollbackResult> {
  const { replacement } = run;
  const { docker, log, rollout, turn } = replacement;
  const slot = await readSlot(docker, before.name);
  const ran = async (container: Container | undefined) =>
    container !== undefined && runsPrevious(container, await findImage(docker, container.Image), before);
  if (await ran(slot.current)) return keepCurrentContainer(replacement, slot);
  const { name } = before;
  if (await ran(slot.kept)) {
    await freeSlot(replacement, slot);
    await rollBackSlot(replacement, await readSlot(docker, name));
    await requireRunning(docker, name);
    log.info({ container: name, rollout, turn }, 'the container that ran before is back');
    return { changed: true, text: `started ${name} again as it was` };
  }
  return recreatePrevious(run, slot, before);
}

/** It is in the slot already, for example because an earlier attempt put it there and was interrupted. */
async function keepCurrentContainer(replacement: Replacement, slot: Slot): Promise<RollbackResult> {
  const { docker, rollout } = replacement;
  const { name, current, kept, next } = slot;
  if (current === undefined) throw new Error(`expected a container named ${name}`);
  const wasHalfWay = isInterrupted(slot);
  if (wasHalfWay) await rollBackSlot(replacement, slot);
  else if (next !== undefined) await removeContainer(docker, next.Id);
  const startsNow = !wasHalfWay && !current.State.Running && isWantedRunning(current);
  if (startsNow) await start(docker, current.Id, name);
  const labels = readDeployLabels(current.Config.Labels);
  const isOurs = labels?.rollout === rollout && labels.replaces === kept?.Id;
  if (kept !== undefined && isOurs) await removeContainer(docker, kept.Id, { volumes: false });
  if (wasHalfWay || startsNow || isOurs) {
    await requireRunning(docker, name);
    return { changed: true, text: `started ${name} again as it was` };
  }
  return { changed: false, text: `${name} runs what it ran before` };
}

/** The previous container is gone, because its successor was settled. The bad one is not kept: nobody rolls back to it. */
async function recreatePrevious(run: RollbackRun, slot: Slot, before: RunningImage): Promise<RollbackResult> {
  const { options, replacement, signal } = run;
  const { docker, daemon } = replacement;
  const { name } = slot;
  const source = slot.current ?? slot.kept;
  if (source === undefined) {
    throw new Refusal(
      'DeployRefused',
      `expected a container named ${name} to bring back to ${before.reference}, but somebody removed it: make it again yourself`,
    );
  }
  const targetImage = await previousImage(run, before);
  if (!canContinue(slot, targetImage, replacement)) {
    await requireReplaceable(docker, source, daemon, options.ownContainer);
    await targetImage.ensure();
    signal.throwIfAborted();
    await prepareSlot(replacement, slot, targetImage);
  }
  await replaceContainer(replacement, name, quickStopSeconds);
  const { kept } = await readSlot(docker, name);
  if (kept !== undefined) await removeContainer(docker, kept.Id, { volumes: false });
  await requireRunning(docker, name);
  return { changed: true, text: `recreated ${name} with ${targetImage.reference}, which ran before` };
}

/** An image on the host if there is one: by digest, so that its name says what it is, else by id; the registry is the last resort. */
async function previousImage({ options, target, replacement, signal }: RollbackRun, before: RunningImage): Promise<TargetImage> {
  const { docker, daemon, log } = replacement;
  const named = namesOf(before, target);
  /** Pulling restores its name, which is nice to have: so wait for the registry only briefly. */
  const isOutOfReach = async (reference: Parameters<typeof targetImageOf>[1]) => {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(pullWithinMs)]);
    try {
      await targetImageOf(options, reference, daemon, inTime).ensure();
      return false;
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ container: before.name, error }, 'the image has lost its digest on this host, and goes by its id');
      return true;
    }
  };
  for (const reference of named) {
    const { repository, digest } = reference;
    if ((await findImage(docker, formatReference({ repository, digest }))) !== undefined) {
      return targetImageOf(options, reference, daemon, signal);
    }
  }
  const [first] = named;
  const { imageId } = before;
  const isHere = imageId !== undefined && (await findImage(docker, imageId)) !== undefined;
  if (first !== undefined && !(isHere && (await isOutOfReach(first)))) return targetImageOf(options, first, daemon, signal);
  if (isHere) return { reference: imageId, ensure: async () => undefined };
  throw new Refusal(
    'DeployRefused',
    `expected the image that ${before.name} ran before (${before.reference}) on this host, because no digest tells what it was, but it ` +
      'is gone: deploy a good image instead',
  );
}

/** The names that the image may have been pulled by: the container's own, and the service's repository. */
function namesOf({ reference, digest }: RunningImage, { image }: Target): readonly (ImageReference & { digest: Digest })[] {
  const own = tryParseReference(reference);
  const ofService = digest === undefined ? [] : [{ ...own, repository: image.repository, digest }];
  if (own?.repository === image.repository && digest !== undefined) return ofService;
  return own?.digest === undefined ? ofService : [{ ...own, digest: own.digest }, ...ofService];
}

async function runningNow(docker: Docker, name: string, { image }: Target): Promise<RunningImage[]> {
  const { current } = await readSlot(docker, name);
  return current === undefined ? [] : [runningImage(name, current, await findImage(docker, current.Image), image)];
}
