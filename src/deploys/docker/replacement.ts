import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import { formatReference, type ImageReference } from '../../domain/image-reference.ts';
import { findImage } from '../../platform/docker/container.ts';
import { isMissing, statusOf } from '../../platform/docker/errors.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import type { DeployContext, Work } from '../deploy.ts';
import { pullImage } from '../kit/docker.ts';
import { refused } from '../kit/refusals.ts';
import { start } from './readiness.ts';
import { recreationOf } from './recreation.ts';
import { borrowedPaths, type DaemonInfo } from './refusals.ts';
import {
  type DockerTarget,
  formatDeployLabels,
  formatPolicy,
  isInterrupted,
  isNextTied,
  isWantedRunning,
  keptName,
  nextName,
  parsePolicy,
  readDeployLabels,
  readSlot,
  type Slot,
} from './slot.ts';

export type DockerDeployerOptions = Pick<DeployContext, 'docker' | 'credentials' | 'log' | 'ownContainer'>;

/**
 * How one container replaces another, so that this process may die at any moment:
 *
 *     name         name-landfall-before   name-landfall-next
 *     old                                                       as it was
 *     old                                 new                   prepare: the new one is complete, with all its networks
 *     old, stopped                        new                   `replaceContainer` ...
 *                  old                    new                   ... it has lost its restart policy: Docker starts what has one when it
 *     new          old                                              starts itself, stopped or not
 *     new, started old                                          `settle` removes the old one
 *
 * What the old one was (its policy, and whether it ran) is written on the new one before anything happens to the old one. `rollBackSlot`
 * goes from any of these lines to the first; after the last but one, `restoreKept` goes there by way of the fourth.
 */
export interface Replacement extends DockerDeployerOptions, Pick<Work, 'turn' | 'signal'> {
  readonly target: DockerTarget;
  readonly daemon: DaemonInfo;
}

/** A bad container is not worth the wait for its own stop timeout. */
export const quickStopSeconds = 1;
/** How often an image that somebody removed between pull and use is pulled again. */
const pullsAtMost = 3;

export interface TargetImage {
  /** What the container is configured with: `repository:tag@digest`, or an id. */
  readonly reference: string;
  /** Makes sure that the image is there. */
  readonly ensure: () => Promise<void>;
}

export async function replacementOf(
  options: DockerDeployerOptions,
  target: DockerTarget,
  { turn, signal }: Pick<Work, 'turn' | 'signal'>,
): Promise<Replacement> {
  const { docker } = options;
  const [version, info, containers] = await Promise.all([docker.version(), docker.info(), docker.listContainers({ all: true })]);
  const daemon = { platform: `${version.Os}/${version.Arch}`, hostName: String(info.Name), containers };
  return { ...options, target, turn, signal, daemon };
}

/** An image by digest, with the tag in its name so that people can read it. */
export function targetImageOf(replacement: Replacement, image: ImageReference, signal = replacement.signal): TargetImage {
  return { reference: formatReference(image), ensure: () => pullImage(replacement, image, signal) };
}

/** Whether an earlier try of the same rollout got as far as taking the old one away: then the rest is all that is to be done. */
export function canContinue(slot: Slot, targetImage: TargetImage, { target }: Replacement): boolean {
  const { next } = slot;
  if (next === undefined || !isInterrupted(slot) || !isNextTied(slot)) return false;
  // One that has run was taken out of the slot by `restoreKept`.
  const isNew = next.State.Status === 'created' && readDeployLabels(next.Config.Labels)?.rollout === target.rollout;
  return isNew && next.Config.Image === targetImage.reference;
}

/**
 * Creates the new container, complete but not started, under a temporary name. The one in the slot is not touched, but where a deploy was
 * cut off, that is rolled back first, so that there is one state to start from, with the owner's settings.
 * @throws Refusal `DeployRefused` if the image of the old one is gone, or Docker refuses the settings
 */
export async function prepare(replacement: Replacement, found: Slot, targetImage: TargetImage): Promise<void> {
  const { docker, daemon, target, turn } = replacement;
  if (isInterrupted(found)) await rollBackSlot(replacement, found);
  const { name, current, next } = isInterrupted(found) ? await readSlot(docker, found.name) : found;
  if (current === undefined) throw new Error(`somebody removed ${name} while it was deployed; it is deployed again`);
  const image = await findImage(docker, current.Image);
  if (image === undefined) {
    throw refused(
      `expected the image of ${name} (${current.Config.Image}) on this host, because it tells which settings are the container's ` +
        'own, but somebody removed it: pull it again, or make the container again with the new image',
    );
  }
  if (next !== undefined) await removeContainer(docker, next.Id);
  const restart = formatPolicy(current.HostConfig.RestartPolicy);
  const origin = { rollout: target.rollout, turn, at: new Date().toISOString(), replaces: current.Id };
  const { options, joins, leaves } = recreationOf(current, {
    name: nextName(name),
    target: targetImage.reference,
    labels: formatDeployLabels({ ...origin, starts: isWantedRunning(current), restart }),
    restart: parsePolicy(restart),
    image: image.Config ?? {},
    hostName: daemon.hostName,
    borrowed: await borrowedPaths(docker, current),
  });
  const made = await create(docker, options, targetImage);
  try {
    for (const { network, endpoint } of joins) {
      await docker.getNetwork(network).connect({ Container: made.id, EndpointConfig: endpoint });
    }
    for (const network of leaves) await docker.getNetwork(network).disconnect({ Container: made.id });
  } catch (error) {
    await removeContainer(docker, made.id).catch(() => undefined);
    throw error;
  }
}

async function create(
  docker: Docker,
  options: Docker.ContainerCreateOptions,
  targetImage: TargetImage,
): Promise<Docker.Container> {
  for (let pulls = 1; ; pulls += 1) {
    try {
      return await docker.createContainer(options);
    } catch (error) {
      if (statusOf(error) === 400) {
        throw refused(
          `Docker refuses to make ${options.name} with ${targetImage.reference} (${messageOf(error)}): correct its settings`,
          error,
        );
      }
      // A finished smoke test, or a person, has removed the image.
      if (!isMissing(error) || pulls >= pullsAtMost) throw error;
      await targetImage.ensure();
    }
  }
}

/**
 * Puts the prepared container into the slot, and starts it if the old one ran. It cannot be cancelled: nothing runs meanwhile.
 * @param stopSeconds how long the old one may take to stop; absent: as long as it was given itself
 */
export async function replaceContainer(replacement: Replacement, name: string, stopSeconds?: number): Promise<void> {
  const { docker } = replacement;
  const { current, kept, next } = await readSlot(docker, name);
  if (next === undefined) throw new Error(`expected ${nextName(name)}, which somebody removed; it is made again`);
  if (current !== undefined) {
    // Kept by a rollout that was never settled; from here on, a rollback goes back to what runs now.
    if (kept !== undefined) await removeContainer(docker, kept.Id, { volumes: false });
    await stop(docker, current.Id, stopSeconds);
    await docker.getContainer(current.Id).rename({ name: keptName(name) });
  } else if (kept !== undefined) await stop(docker, kept.Id, stopSeconds);
  const old = current ?? kept;
  if (old !== undefined) await setPolicy(docker, old.Id, 'no');
  await docker.getContainer(next.Id).rename({ name });
  if (readDeployLabels(next.Config.Labels)?.starts) await start(docker, next.Id, name);
}

/**
 * Brings the kept container back, after the one in the slot was taken out of it, quickly: its labels say how to start the kept one, so it
 * stays until that runs.
 */
export async function restoreKept(replacement: Replacement, { name, current, next }: Slot): Promise<void> {
  const { docker } = replacement;
  if (current !== undefined) {
    if (next !== undefined) await removeContainer(docker, next.Id);
    await stop(docker, current.Id, quickStopSeconds);
    await docker.getContainer(current.Id).rename({ name: nextName(name) });
  }
  await rollBackSlot(replacement, await readSlot(docker, name));
}

/** Restores the container that is in the slot, or was before: name, restart policy, running state. Then removes its replacement. */
export async function rollBackSlot(replacement: Replacement, slot: Slot): Promise<void> {
  const { docker, log } = replacement;
  const { name, current, kept, next } = slot;
  const source = current ?? kept;
  if (source === undefined) return;
  const labels = isNextTied(slot) ? readDeployLabels(next?.Config.Labels) : undefined;
  const policy = formatPolicy(source.HostConfig.RestartPolicy);
  const lost = labels === undefined && current === undefined && policy === 'no';
  if (lost) log.warn({ container: name }, 'nobody knows its restart policy any more: it is unless-stopped now');
  const restart = labels?.restart ?? (lost ? 'unless-stopped' : policy);
  // Before it gets its name back: after that, an interrupted rollback would not look at the policy again.
  if (restart !== policy) await setPolicy(docker, source.Id, restart);
  if (current === undefined) await docker.getContainer(source.Id).rename({ name });
  if (labels?.starts ?? current === undefined) await start(docker, source.Id, name);
  if (next !== undefined) await removeContainer(docker, next.Id);
}

async function stop(docker: Docker, id: string, seconds: number | undefined): Promise<void> {
  try {
    await docker.getContainer(id).stop(seconds === undefined ? {} : { t: seconds });
  } catch (error) {
    // 304: it is stopped already.
    if (statusOf(error) !== 304) throw error;
  }
}

async function setPolicy(docker: Docker, id: string, restart: string): Promise<void> {
  await docker.getContainer(id).update({ RestartPolicy: parsePolicy(restart) });
}

/** Waits for all, then fails with every failure: none goes on unnoticed in the background. */
export async function allOf<Result>(acts: readonly Promise<Result>[]): Promise<Result[]> {
  const settled = await Promise.allSettled(acts);
  const errors: unknown[] = settled.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
  if (errors.length === 0) return await Promise.all(acts);
  const failures = errors.filter((error) => error instanceof Refusal);
  const [first, ...others] = failures;
  if (first === undefined || others.length === 0) throw first ?? errors[0];
  const messages = failures.map(({ message }) => message).join('\n');
  const details = failures.flatMap((failure) => failure.details).slice(0, 1);
  throw new Refusal(first.type, messages.slice(0, 2000), details, { cause: first });
}
