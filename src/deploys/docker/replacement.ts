import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import type { Log } from '../../domain/log.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { isMissing, statusOf } from '../../platform/docker/errors.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import {
  type DeployLabels,
  formatDeployLabels,
  formatPolicy,
  keptName,
  nextName,
  parsePolicy,
  readDeployLabels,
} from './deploy-labels.ts';
import { start } from './readiness.ts';
import { recreationOf } from './recreation.ts';
import { borrowedPaths, type DaemonInfo, refused } from './refusals.ts';
import { isInterrupted, isNextTied, readSlot, type Slot } from './slot.ts';

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
 * goes from any of these lines to the first; after the last but one, `freeSlot` goes there by way of the fourth.
 */
export interface Replacement {
  readonly docker: Docker;
  readonly daemon: DaemonInfo;
  readonly rollout: string;
  readonly turn: number;
  readonly now: () => Date;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** A bad container is not worth the wait for its own stop timeout. */
export const quickStopSeconds = 2;
/** How often an image that somebody removed between pull and use is pulled again. */
const pullsAtMost = 3;

export interface TargetImage {
  /** What the container is configured with: `repository:tag@digest`, or an id. */
  readonly reference: string;
  /** Makes sure that the image is there. */
  readonly ensure: () => Promise<void>;
}

/** Whether an earlier try of the same rollout got as far as taking the old one away: then the rest is all that is to be done. */
export function canContinue(slot: Slot, targetImage: TargetImage, { rollout }: Pick<Replacement, 'rollout'>): boolean {
  const { next } = slot;
  if (next === undefined || !isInterrupted(slot) || !isNextTied(slot)) return false;
  // One that has run was taken out of the slot by `freeSlot`.
  const isNew = next.State.Status === 'created' && readDeployLabels(next.Config.Labels)?.rollout === rollout;
  return isNew && next.Config.Image === targetImage.reference;
}

/**
 * Creates the new container, complete but not started, under a temporary name. The one in the slot is not touched.
 * @throws Refusal `DeployRefused` if the image of the old one is gone, or Docker refuses the settings
 */
export async function prepare(
  replacement: Replacement,
  slot: Slot,
  source: Container,
  starts: boolean,
  targetImage: TargetImage,
): Promise<void> {
  const { docker, daemon, rollout, turn, now } = replacement;
  const image = await findImage(docker, source.Image);
  if (image === undefined) {
    throw refused(
      `expected the image of ${slot.name} (${source.Config.Image}) on this host, because it tells which settings are the container's ` +
        'own, but somebody removed it: pull it again, or make the container again with the new image',
    );
  }
  if (slot.next !== undefined) await removeContainer(docker, slot.next.Id);
  const restart = formatPolicy(source.HostConfig.RestartPolicy);
  const labels: DeployLabels = { rollout, turn, at: now().toISOString(), replaces: source.Id, starts, restart };
  const context = { image: image.Config ?? {}, hostName: daemon.hostName, borrowed: await borrowedPaths(docker, source) };
  const { options, joins, leaves } = recreationOf(source, context, {
    name: nextName(slot.name),
    image: targetImage.reference,
    labels: formatDeployLabels(labels),
    restart: parsePolicy(restart),
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

/** Takes a container out of the slot, quickly, for the kept one; its labels say how to start that one, so it stays until that runs. */
export async function freeSlot({ docker }: Replacement, { name, current, next }: Slot): Promise<void> {
  if (current === undefined) return;
  if (next !== undefined) await removeContainer(docker, next.Id);
  await stop(docker, current.Id, quickStopSeconds);
  await docker.getContainer(current.Id).rename({ name: nextName(name) });
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
