import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import { formatReference, type Repository, registryOf } from '../../domain/image-reference.ts';
import type { Deployed } from '../../domain/outcomes.ts';
import type { DockerDeployPlan } from '../../domain/plan.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { ensureImage } from '../../platform/docker/images.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import { requireScanned } from '../../platform/docker/scanned.ts';
import type { Target, Work } from '../deployer.ts';
import type { DockerDeployerOptions } from './deployer.ts';
import { runningImage, runs } from './digests.ts';
import { canContinue, type Exchange, exchangeNow, makeWay, prepare, putBack, type Wanted } from './exchange.ts';
import { isWantedRunning, readMark } from './marks.ts';
import { findPlaces, isHalfWay, lookAt, type Place } from './place.ts';
import { start, waitUntilReady } from './readiness.ts';
import { type Daemon, noContainer, requireLabel, requirePlatform, requireReplaceable } from './refusals.ts';

/** What is to be done with one container. */
type Task = {
  readonly place: Place;
} /** `starts`: it has the image, and is to run but does not. `waits`: this rollout brought it. */ & (
  | { readonly kind: 'there'; readonly current: Container; readonly starts: boolean; readonly waits: boolean }
  | { readonly kind: 'replace'; readonly starts: boolean }
  | { readonly kind: 'continue' }
);

/**
 * Brings the image to all containers that are meant, side by side. Whatever can be refused is, before anything happens to a container.
 * @throws Refusal `DeployRefused`, `DeployFailed`, `CredentialsRefused`; RateLimit; an ordinary error; the signal's reason
 */
export async function bring(options: DockerDeployerOptions, target: Target<DockerDeployPlan>, work: Work): Promise<Deployed> {
  const { docker } = options;
  const { deploy, image } = target;
  const places = await findPlaces(docker, deploy, work.only);
  await requireAll(docker, target, places);
  const daemon = await describeDaemon(docker);
  requirePlatform(image, daemon);
  const exchange = exchangeOf(options, target, work, daemon);
  const wanted = wantedOf(options, image, daemon, work.signal);

  const tasks = await Promise.all(places.map((place) => assess(exchange, target, place, wanted, options.ownContainer)));
  if (tasks.some(({ kind }) => kind !== 'there')) {
    await wanted.ensure();
    await requireScanned(docker, target.plan, image);
  }
  await requireLabels(docker, target, tasks);
  await prepareAll(exchange, tasks, wanted, work.signal);

  const texts = await allOf(tasks.map((task) => finish(exchange, task, target, work)));
  const after = await Promise.all(places.map(({ name }) => lookAt(docker, name)));
  const running = await Promise.all(
    after.map(async ({ name, current }) =>
      current === undefined ? [] : [runningImage(name, current, await findImage(docker, current.Image), image)],
    ),
  );
  const changed = tasks.some((task) => task.kind !== 'there' || task.starts || task.waits);
  return { kind: 'deployed', changed, running: running.flat(), text: texts.join('; ') };
}

/** Refuses what `bring` would, as far as it can be told without the image, and changes nothing. */
export async function foresee(
  options: DockerDeployerOptions,
  target: Target<DockerDeployPlan>,
  signal: AbortSignal,
): Promise<void> {
  const { docker } = options;
  const places = await findPlaces(docker, target.deploy);
  await requireAll(docker, target, places);
  const daemon = await describeDaemon(docker);
  requirePlatform(target.image, daemon);
  const exchange = exchangeOf(options, target, { turn: 0, signal }, daemon);
  const wanted = wantedOf(options, target.image, daemon, signal);
  await Promise.all(places.map((place) => assess(exchange, target, place, wanted, options.ownContainer)));
}

/** One that nobody has found before is in no batch, and would be missed by none of them. */
async function requireAll(
  docker: Docker,
  { deploy: { containers }, image }: Target<DockerDeployPlan>,
  meant: readonly Place[],
): Promise<void> {
  if ('label' in containers) {
    if (meant.length === 0) throw noContainer(containers, image);
    return;
  }
  const others = containers.names.filter((name) => meant.every((place) => place.name !== name));
  const places = await Promise.all(others.map((name) => lookAt(docker, name)));
  const missing = places.find(({ current, kept }) => current === undefined && kept === undefined);
  if (missing !== undefined) throw noContainer(missing, image);
}

export function exchangeOf(options: DockerDeployerOptions, target: Target, work: Work, daemon: Daemon): Exchange {
  const { docker, log, now = () => new Date() } = options;
  return { docker, log, now, daemon, rollout: target.rollout, turn: work.turn };
}

export async function describeDaemon(docker: Docker): Promise<Daemon> {
  const [version, info, containers] = await Promise.all([docker.version(), docker.info(), docker.listContainers({ all: true })]);
  return { platform: `${version.Os}/${version.Arch}`, hostName: String(info.Name), containers };
}

type Named = Parameters<typeof formatReference>[0];

/** An image by digest, with the tag in its name so that people can read it. */
export function wantedOf(options: DockerDeployerOptions, image: Named, { platform }: Daemon, signal: AbortSignal): Wanted {
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

async function assess(exchange: Exchange, { image }: Target, place: Place, wanted: Wanted, own?: string): Promise<Task> {
  const { docker, daemon, rollout } = exchange;
  const source = place.current ?? place.kept;
  if (source === undefined) throw noContainer(place, image);
  if (canContinue(place, wanted, exchange)) return { place, kind: 'continue' };
  const { current, kept } = place;
  if (current !== undefined && runs(current, await findImage(docker, current.Image), image)) {
    const mark = readMark(current.Config.Labels);
    // What it was brought in place of is kept: it was this rollout, and is not settled yet.
    const waits = mark?.rollout === rollout && mark.insteadOf === kept?.Id;
    const wantsToRun = waits ? mark.starts : isHalfWay(place) || isWantedRunning(current);
    return { place, kind: 'there', current, starts: wantsToRun && !current.State.Running, waits };
  }
  await requireReplaceable(docker, source, daemon, own);
  return { place, kind: 'replace', starts: isHalfWay(place) || isWantedRunning(source) };
}

/** A label that only the old image gave would be lost, and the container with it. */
async function requireLabels(docker: Docker, { deploy, image }: Target<DockerDeployPlan>, tasks: readonly Task[]): Promise<void> {
  const { containers } = deploy;
  if (!('label' in containers)) return;
  const { repository, digest } = image;
  const next = await findImage(docker, formatReference({ repository, digest }));
  for (const { kind, place } of tasks) {
    const source = place.current ?? place.kept;
    if (kind !== 'replace' || source === undefined) continue;
    requireLabel(containers.label, source, await findImage(docker, source.Image), next);
  }
}

/** All of them or none: one that cannot be made takes what was made for the others along. */
async function prepareAll(exchange: Exchange, tasks: readonly Task[], wanted: Wanted, signal: AbortSignal): Promise<void> {
  const { docker } = exchange;
  const prepared: string[] = [];
  try {
    for (const { kind, place } of tasks) {
      if (kind !== 'replace') continue;
      signal.throwIfAborted();
      prepared.push(place.name);
      await prepareAt(exchange, place, wanted);
    }
    signal.throwIfAborted();
  } catch (error) {
    for (const name of prepared) {
      const place = await lookAt(docker, name);
      if (place.next !== undefined && !isHalfWay(place)) await removeContainer(docker, place.next.Id);
    }
    throw error;
  }
}

/** What another deploy left half-way is undone first: then there is one place to start from, and its owner's settings. */
export async function prepareAt(exchange: Exchange, found: Place, wanted: Wanted): Promise<void> {
  if (isHalfWay(found)) await putBack(exchange, found);
  const place = isHalfWay(found) ? await lookAt(exchange.docker, found.name) : found;
  if (place.current === undefined) throw new Error(`somebody removed ${place.name} while it was deployed; it is deployed again`);
  await prepare(exchange, place, place.current, isWantedRunning(place.current), wanted);
}

/** @returns what was done, for people */
async function finish(exchange: Exchange, task: Task, { deploy, image }: Target<DockerDeployPlan>, work: Work): Promise<string> {
  const { docker, log, rollout, turn } = exchange;
  const { name, next } = task.place;
  if (task.kind === 'there') {
    if (isHalfWay(task.place)) await putBack(exchange, task.place);
    else if (next !== undefined) await removeContainer(docker, next.Id);
    if (task.starts) await start(docker, task.current.Id, name);
    if (!task.starts && !task.waits)
      return `${name} ${task.current.State.Running ? 'runs it already' : 'has it already, and is left stopped'}`;
  } else await exchangeOrPutBack(exchange, name);
  const { current } = await lookAt(docker, name);
  if (current === undefined) throw new Error(`somebody removed ${name} while it was deployed; it is deployed again`);
  log.info({ container: name, rollout, turn, image: current.Config.Image, digest: image.digest }, 'a container was deployed');
  const isToRun = task.kind === 'there' ? task.starts || current.State.Running : readMark(current.Config.Labels)?.starts === true;
  if (!isToRun) return `recreated ${name}, and left it stopped as it was`;
  const restarts = task.kind === 'there' ? task.current.RestartCount : 0;
  await waitUntilReady({ docker, id: current.Id, name, timeoutMs: deploy.timeoutMs, restarts, signal: work.signal });
  return `recreated ${name}`;
}

/** Where the host is to blame that the new one does not start, the old one does again, and the image is not blamed. */
async function exchangeOrPutBack(exchange: Exchange, name: string): Promise<void> {
  try {
    await exchangeNow(exchange, name);
  } catch (error) {
    const place = await lookAt(exchange.docker, name);
    if (!(error instanceof Refusal) || error.type !== 'DeployRefused' || place.kept === undefined) throw error;
    throw new Refusal('DeployRefused', `${error.message}; ${await backAgain(exchange, place)}`, error.details, { cause: error });
  }
}

/** @returns what came of it, for people */
async function backAgain(exchange: Exchange, place: Place): Promise<string> {
  try {
    await makeWay(exchange, place);
    await putBack(exchange, await lookAt(exchange.docker, place.name));
    return 'what ran before runs again';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return `what ran before could NOT be brought back, so the service may be down: ${error.message}`;
  }
}

/** Waits for all, then fails for all that failed: none is left running without anybody knowing. */
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
