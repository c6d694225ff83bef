import { Refusal } from '../../domain/failures.ts';
import { formatReference, type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { Deployed, ImageIdentity, RunningImage } from '../../domain/outcomes.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import { refused } from '../kit/refusals.ts';
import { runsPrevious, withImage } from './digests.ts';
import { requireRunning, start } from './readiness.ts';
import { requireReplaceable } from './refusals.ts';
import {
  allOf,
  canContinue,
  prepare,
  quickStopSeconds,
  type Replacement,
  replaceContainer,
  restoreKept,
  rollBackSlot,
  type TargetImage,
  targetImageOf,
} from './replacement.ts';
import {
  type DockerTarget,
  isInterrupted,
  isWantedRunning,
  readDeployLabels,
  readSlot,
  readSlots,
  runningIn,
  type Slot,
} from './slot.ts';

/** For an image that is there, only not by name. */
const pullWithinMs = 10_000;

/**
 * Rolls back to what ran before: the kept container, or else a new one with its image and the current settings. It waits until that runs,
 * not until it is healthy: it was healthy before, time matters, and the watch checks its health afterwards.
 * @throws Refusal `NothingBefore`, `DeployRefused`, `DeployFailed`; an ordinary error
 */
export async function rollBackContainers(
  replacement: Replacement,
  before: readonly RunningImage[],
  only?: readonly string[],
): Promise<Deployed> {
  const { docker, target } = replacement;
  const meant = before.filter(({ name }) => only === undefined || only.includes(name));
  if (meant.length === 0) {
    throw new Refusal(
      'NothingBefore',
      `expected containers of stage ${target.stage.name} that ran before ${target.image.tag}, found none: stop what runs now, or deploy a good image`,
    );
  }
  const done = await allOf(meant.map((each) => rollBackContainer(replacement, each)));
  const names = meant.map(({ name }) => name);
  return {
    kind: 'deployed',
    changed: done.some(({ changed }) => changed),
    running: await runningIn(docker, await readSlots(docker, names), target.image),
    text: done.map(({ text }) => text).join('; '),
  };
}

type RollbackResult = Pick<Deployed, 'changed' | 'text'>;

async function rollBackContainer(replacement: Replacement, before: RunningImage): Promise<RollbackResult> {
  const { docker, log, target, turn } = replacement;
  const { name } = before;
  const slot = await readSlot(docker, name);
  const ran = async (container: Container | undefined) =>
    container !== undefined && runsPrevious(await withImage(docker, container), before);
  if (await ran(slot.current)) return keepCurrentContainer(replacement, slot);
  if (!(await ran(slot.kept))) return recreatePrevious(replacement, slot, before);
  await restoreKept(replacement, slot);
  await requireRunning(docker, name);
  log.info({ container: name, rollout: target.rollout, turn }, 'the container that ran before is back');
  return { changed: true, text: `started ${name} again as it was` };
}

/** It is in the slot already, for example because an earlier attempt put it there and was interrupted. */
async function keepCurrentContainer(replacement: Replacement, slot: Slot): Promise<RollbackResult> {
  const { docker, target } = replacement;
  const { name, current, kept, next } = slot;
  if (current === undefined) throw new Error(`expected a container named ${name}`);
  const wasHalfWay = isInterrupted(slot);
  if (wasHalfWay) await rollBackSlot(replacement, slot);
  else if (next !== undefined) await removeContainer(docker, next.Id);
  const startsNow = !wasHalfWay && !current.State.Running && isWantedRunning(current);
  if (startsNow) await start(docker, current.Id, name);
  const labels = readDeployLabels(current.Config.Labels);
  const isOurs = labels?.rollout === target.rollout && labels.replaces === kept?.Id;
  if (kept !== undefined && isOurs) await removeContainer(docker, kept.Id, { volumes: false });
  if (!wasHalfWay && !startsNow && !isOurs) return { changed: false, text: `${name} runs what it ran before` };
  await requireRunning(docker, name);
  return { changed: true, text: `started ${name} again as it was` };
}

/** The previous container is gone, because its successor was settled. The bad one is not kept: nobody rolls back to it. */
async function recreatePrevious(replacement: Replacement, slot: Slot, before: RunningImage): Promise<RollbackResult> {
  const { docker, daemon, ownContainer, signal } = replacement;
  const { name } = slot;
  const source = slot.current ?? slot.kept;
  if (source === undefined) {
    throw refused(
      `expected a container named ${name} to bring back to ${before.reference}, but somebody removed it: make it again yourself`,
    );
  }
  const targetImage = await previousImage(replacement, before);
  if (!canContinue(slot, targetImage, replacement)) {
    await requireReplaceable(docker, source, daemon, ownContainer);
    await targetImage.ensure();
    signal.throwIfAborted();
    await prepare(replacement, slot, targetImage);
  }
  await replaceContainer(replacement, name, quickStopSeconds);
  const { kept } = await readSlot(docker, name);
  if (kept !== undefined) await removeContainer(docker, kept.Id, { volumes: false });
  await requireRunning(docker, name);
  return { changed: true, text: `recreated ${name} with ${targetImage.reference}, which ran before` };
}

/** An image on the host if there is one: by digest, so that its name says what it is, else by id; the registry is the last resort. */
async function previousImage(replacement: Replacement, before: RunningImage): Promise<TargetImage> {
  const { docker, log, signal, target } = replacement;
  const named = namesOf(before, target);
  /** Pulling restores its name, which is nice to have: so wait for the registry only briefly. */
  const isOutOfReach = async (reference: ImageReference) => {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(pullWithinMs)]);
    try {
      await targetImageOf(replacement, reference, inTime).ensure();
      return false;
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ container: before.name, error }, 'the image has lost its digest on this host, and goes by its id');
      return true;
    }
  };
  for (const reference of named) {
    const { repository, digest } = reference;
    const image = await findImage(docker, formatReference({ repository, digest }));
    if (image !== undefined) return targetImageOf(replacement, reference);
  }
  const [first] = named;
  const { imageId } = before;
  const isHere = imageId !== undefined && (await findImage(docker, imageId)) !== undefined;
  if (first !== undefined && !(isHere && (await isOutOfReach(first)))) return targetImageOf(replacement, first);
  if (isHere) return { reference: imageId, ensure: async () => undefined };
  throw refused(
    `expected the image that ${before.name} ran before (${before.reference}) on this host, because no digest tells what it was, but it ` +
      'is gone: deploy a good image instead',
  );
}

/** The names that the image may have been pulled by: the container's own, and the service's repository. */
function namesOf(
  { reference, digest }: RunningImage,
  { image }: DockerTarget,
): (ImageReference & Pick<ImageIdentity, 'digest'>)[] {
  const own = tryParseReference(reference);
  const ofService = digest === undefined ? [] : [{ ...own, repository: image.repository, digest }];
  if (own?.repository === image.repository && digest !== undefined) return ofService;
  return own?.digest === undefined ? ofService : [{ ...own, digest: own.digest }, ...ofService];
}
