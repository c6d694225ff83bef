import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { isMissing, statusOf } from '../../platform/docker/errors.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import { formatPolicy, keptName, type Mark, markLabels, nextName, parsePolicy, readMark } from './marks.ts';
import { isHalfWay, isTied, lookAt, type Place } from './place.ts';
import { start } from './readiness.ts';
import { recreationOf } from './recreation.ts';
import { borrowedPaths, type Daemon, refused } from './refusals.ts';

/** As much of a pino logger as is needed. */
export interface DeployLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/**
 * How one container takes another's place, so that each moment can be the last one of this process:
 *
 *     name         name-landfall-before   name-landfall-next
 *     old                                                       as it was
 *     old                                 new                   prepare: the new one is complete, with all its networks
 *     old, stopped                        new                   exchange ...
 *                  old                    new                   ... it has lost its restart policy: Docker starts what has one when it
 *     new          old                                              starts itself, stopped or not
 *     new, started old                                          `settle` removes the old one
 *
 * What the old one was (its policy, and whether it ran) is written on the new one before anything happens to the old one. `putBack` goes
 * from any of these lines to the first; after the last but one, `makeWay` goes there by way of the fourth.
 */
export interface Exchange {
  readonly docker: Docker;
  readonly daemon: Daemon;
  readonly rollout: string;
  readonly turn: number;
  readonly now: () => Date;
  readonly log: DeployLog;
}

/** A bad container is not worth the wait for its own stop timeout. */
export const quickStopSeconds = 2;
/** How often an image that somebody removed between pull and use is pulled again. */
const pullsAtMost = 3;

export interface Wanted {
  /** What the container is configured with: `repository:tag@digest`, or an id. */
  readonly reference: string;
  /** Makes sure that the image is there. */
  readonly ensure: () => Promise<void>;
}

/** Whether an earlier try of the same rollout got as far as taking the old one away: then the rest is all that is to be done. */
export function canContinue(place: Place, wanted: Wanted, { rollout }: Pick<Exchange, 'rollout'>): boolean {
  const { next } = place;
  if (next === undefined || !isHalfWay(place) || !isTied(place)) return false;
  // One that has run was taken out of the place by `makeWay`.
  const isNew = next.State.Status === 'created' && readMark(next.Config.Labels)?.rollout === rollout;
  return isNew && next.Config.Image === wanted.reference;
}

/**
 * Makes the new container, complete but not started, under a name of its own. Nothing happens to the one in the place.
 * @throws Refusal `DeployRefused` where the image of the old one is gone, or Docker refuses the settings
 */
export async function prepare(
  exchange: Exchange,
  place: Place,
  source: Container,
  starts: boolean,
  wanted: Wanted,
): Promise<void> {
  const { docker, daemon, rollout, turn, now } = exchange;
  const image = await findImage(docker, source.Image);
  if (image === undefined) {
    throw refused(
      `expected the image of ${place.name} (${source.Config.Image}) on this host, because it tells which settings are the container's ` +
        'own, but somebody removed it: pull it again, or make the container again with the new image',
    );
  }
  if (place.next !== undefined) await removeContainer(docker, place.next.Id);
  const restart = formatPolicy(source.HostConfig.RestartPolicy);
  const mark: Mark = { rollout, turn, at: now().toISOString(), insteadOf: source.Id, starts, restart };
  const surroundings = { image: image.Config ?? {}, hostName: daemon.hostName, borrowed: await borrowedPaths(docker, source) };
  const { options, joins, leaves } = recreationOf(source, surroundings, {
    name: nextName(place.name),
    image: wanted.reference,
    labels: markLabels(mark),
    restart: parsePolicy(restart),
  });
  const made = await create(docker, options, wanted);
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

async function create(docker: Docker, options: Docker.ContainerCreateOptions, wanted: Wanted): Promise<Docker.Container> {
  for (let pulls = 1; ; pulls += 1) {
    try {
      return await docker.createContainer(options);
    } catch (error) {
      if (statusOf(error) === 400) {
        throw refused(
          `Docker refuses to make ${options.name} with ${wanted.reference} (${messageOf(error)}): correct its settings`,
          error,
        );
      }
      // A smoke test that is done with the image, or a person, has removed it.
      if (!isMissing(error) || pulls >= pullsAtMost) throw error;
      await wanted.ensure();
    }
  }
}

/**
 * Puts the prepared container into the place, and starts it where the old one ran. Not to be cut short: nothing runs meanwhile.
 * @param stopSeconds how long the old one may take to stop; absent: as long as it was given itself
 */
export async function exchangeNow(exchange: Exchange, name: string, stopSeconds?: number): Promise<void> {
  const { docker } = exchange;
  const { current, kept, next } = await lookAt(docker, name);
  if (next === undefined) throw new Error(`expected ${nextName(name)}, which somebody removed; it is made again`);
  if (current !== undefined) {
    // Kept by a rollout that was never settled; what runs now is what is gone back to from here on.
    if (kept !== undefined) await removeContainer(docker, kept.Id, { volumes: false });
    await stop(docker, current.Id, stopSeconds);
    await docker.getContainer(current.Id).rename({ name: keptName(name) });
  } else if (kept !== undefined) await stop(docker, kept.Id, stopSeconds);
  const old = current ?? kept;
  if (old !== undefined) await setPolicy(docker, old.Id, 'no');
  await docker.getContainer(next.Id).rename({ name });
  if (readMark(next.Config.Labels)?.starts) await start(docker, next.Id, name);
}

/** Takes a container out of the place, quickly, for the one that is kept; it still says how that one was, until that one runs. */
export async function makeWay({ docker }: Exchange, { name, current, next }: Place): Promise<void> {
  if (current === undefined) return;
  if (next !== undefined) await removeContainer(docker, next.Id);
  await stop(docker, current.Id, quickStopSeconds);
  await docker.getContainer(current.Id).rename({ name: nextName(name) });
}

/** Brings back what is in the place, or was before, as it was: named, kept up, running. Then removes what was to come instead. */
export async function putBack(exchange: Exchange, place: Place): Promise<void> {
  const { docker, log } = exchange;
  const { name, current, kept, next } = place;
  const source = current ?? kept;
  if (source === undefined) return;
  const mark = isTied(place) ? readMark(next?.Config.Labels) : undefined;
  const policy = formatPolicy(source.HostConfig.RestartPolicy);
  const lost = mark === undefined && current === undefined && policy === 'no';
  if (lost) log.warn({ container: name }, 'nobody knows its restart policy any more: it is unless-stopped now');
  const restart = mark?.restart ?? (lost ? 'unless-stopped' : policy);
  // Before it has its name back: nobody would look for its policy any more.
  if (restart !== policy) await setPolicy(docker, source.Id, restart);
  if (current === undefined) await docker.getContainer(source.Id).rename({ name });
  if (mark?.starts ?? current === undefined) await start(docker, source.Id, name);
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
