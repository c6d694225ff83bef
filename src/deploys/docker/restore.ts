import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import { type Digest, formatReference, type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { Deployed, RunningImage } from '../../domain/outcomes.ts';
import type { DockerDeployPlan } from '../../domain/plan.ts';
import { type Container, findImage } from '../../platform/docker/container.ts';
import { removeContainer } from '../../platform/docker/remove.ts';
import type { Target, Work } from '../deployer.ts';
import { allOf, describeDaemon, exchangeOf, prepareAt, wantedOf } from './bring.ts';
import type { DockerDeployerOptions } from './deployer.ts';
import { isWhatRan, runningImage } from './digests.ts';
import { canContinue, type Exchange, exchangeNow, makeWay, putBack, quickStopSeconds, type Wanted } from './exchange.ts';
import { isWantedRunning, readMark } from './marks.ts';
import { isHalfWay, lookAt, type Place } from './place.ts';
import { requireRunning, start } from './readiness.ts';
import { requireReplaceable } from './refusals.ts';

/** For an image that is there, only not by name. */
const pullWithinMs = 10_000;

interface Return {
  readonly options: DockerDeployerOptions;
  readonly target: Target<DockerDeployPlan>;
  readonly exchange: Exchange;
  readonly signal: AbortSignal;
}

/**
 * Brings back what ran before: the container itself where it is kept, else one with its image and the settings of the one there now. It
 * waits until that runs, not until it is healthy, which whoever watches finds out: it was healthy before, and time is what counts.
 * @throws Refusal `NothingBefore`, `DeployRefused`, `DeployFailed`; an ordinary error
 */
export async function bringBack(
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
  const exchange = exchangeOf(options, target, work, await describeDaemon(docker));
  const backing: Return = { options, target, exchange, signal: work.signal };
  const done = await allOf(meant.map((each) => bringBackOne(backing, each)));
  const running = await Promise.all(meant.map(({ name }) => runningNow(docker, name, target)));
  return {
    kind: 'deployed',
    changed: done.some(({ changed }) => changed),
    running: running.flat(),
    text: done.map(({ text }) => text).join('; '),
  };
}

interface Done {
  readonly changed: boolean;
  readonly text: string;
}

async function bringBackOne(backing: Return, before: RunningImage): Promise<Done> {
  const { exchange } = backing;
  const { docker, log, rollout, turn } = exchange;
  const place = await lookAt(docker, before.name);
  const ran = async (container: Container | undefined) =>
    container !== undefined && isWhatRan(container, await findImage(docker, container.Image), before);
  if (await ran(place.current)) return keep(exchange, place);
  const { name } = before;
  if (await ran(place.kept)) {
    await makeWay(exchange, place);
    await putBack(exchange, await lookAt(docker, name));
    await requireRunning(docker, name);
    log.info({ container: name, rollout, turn }, 'the container that ran before is back');
    return { changed: true, text: `started ${name} again as it was` };
  }
  return makeAgain(backing, place, before);
}

/** It is there already; perhaps because an earlier try brought it, and was cut off before the end. */
async function keep(exchange: Exchange, place: Place): Promise<Done> {
  const { docker, rollout } = exchange;
  const { name, current, kept, next } = place;
  if (current === undefined) throw new Error(`expected a container in the place of ${name}`);
  const wasHalfWay = isHalfWay(place);
  if (wasHalfWay) await putBack(exchange, place);
  else if (next !== undefined) await removeContainer(docker, next.Id);
  const startsNow = !wasHalfWay && !current.State.Running && isWantedRunning(current);
  if (startsNow) await start(docker, current.Id, name);
  const mark = readMark(current.Config.Labels);
  const isOurs = mark?.rollout === rollout && mark.insteadOf === kept?.Id;
  if (kept !== undefined && isOurs) await removeContainer(docker, kept.Id, { volumes: false });
  if (wasHalfWay || startsNow || isOurs) {
    await requireRunning(docker, name);
    return { changed: true, text: `started ${name} again as it was` };
  }
  return { changed: false, text: `${name} runs what it ran before` };
}

/** What ran before was settled, hours ago perhaps. The bad one is not kept: nobody goes back to it. */
async function makeAgain(backing: Return, place: Place, before: RunningImage): Promise<Done> {
  const { options, exchange, signal } = backing;
  const { docker, daemon } = exchange;
  const { name } = place;
  const source = place.current ?? place.kept;
  if (source === undefined) {
    throw new Refusal(
      'DeployRefused',
      `expected a container named ${name} to bring back to ${before.reference}, but somebody removed it: make it again yourself`,
    );
  }
  const wanted = await wantedBefore(backing, before);
  if (!canContinue(place, wanted, exchange)) {
    await requireReplaceable(docker, source, daemon, options.ownContainer);
    await wanted.ensure();
    signal.throwIfAborted();
    await prepareAt(exchange, place, wanted);
  }
  await exchangeNow(exchange, name, quickStopSeconds);
  const { kept } = await lookAt(docker, name);
  if (kept !== undefined) await removeContainer(docker, kept.Id, { volumes: false });
  await requireRunning(docker, name);
  return { changed: true, text: `recreated ${name} with ${wanted.reference}, which ran before` };
}

/** From what is on the host where it can: by digest, so that its name tells what it is, else by id; from the registry last. */
async function wantedBefore({ options, target, exchange, signal }: Return, before: RunningImage): Promise<Wanted> {
  const { docker, daemon, log } = exchange;
  const named = namesOf(before, target);
  /** Pulled under its name again, it shows what it is; but nobody waits long for that who can do without. */
  const isOutOfReach = async (reference: Parameters<typeof wantedOf>[1]) => {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(pullWithinMs)]);
    try {
      await wantedOf(options, reference, daemon, inTime).ensure();
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
      return wantedOf(options, reference, daemon, signal);
    }
  }
  const [first] = named;
  const { imageId } = before;
  const isHere = imageId !== undefined && (await findImage(docker, imageId)) !== undefined;
  if (first !== undefined && !(isHere && (await isOutOfReach(first)))) return wantedOf(options, first, daemon, signal);
  if (isHere) return { reference: imageId, ensure: async () => undefined };
  throw new Refusal(
    'DeployRefused',
    `expected the image that ${before.name} ran before (${before.reference}) on this host, because no digest tells what it was, but it ` +
      'is gone: deploy a good image instead',
  );
}

/** By which names the image is known to have been pulled: the container's own, and the service's repository. */
function namesOf({ reference, digest }: RunningImage, { image }: Target): readonly (ImageReference & { digest: Digest })[] {
  const own = tryParseReference(reference);
  const ofService = digest === undefined ? [] : [{ ...own, repository: image.repository, digest }];
  if (own?.repository === image.repository && digest !== undefined) return ofService;
  return own?.digest === undefined ? ofService : [{ ...own, digest: own.digest }, ...ofService];
}

async function runningNow(docker: Docker, name: string, { image }: Target): Promise<RunningImage[]> {
  const { current } = await lookAt(docker, name);
  return current === undefined ? [] : [runningImage(name, current, await findImage(docker, current.Image), image)];
}
