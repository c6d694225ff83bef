import type Docker from 'dockerode';
import type { Checked, VerifiedImage } from '../../domain/outcomes.ts';
import { usualImageBytes } from '../../domain/plan.ts';
import type { Ask } from '../../platform/docker/ask.ts';
import { type ContainerEnvironment, readEnvironment } from '../../platform/docker/environment.ts';
import { explainUnreachable, isMissing, platformMissing } from '../../platform/docker/errors.ts';
import { watchContainer } from '../../platform/docker/events.ts';
import { sharedImages } from '../../platform/docker/images.ts';
import { isEarlier, nameOf } from '../../platform/docker/labels.ts';
import { createBounded, usualLimits } from '../../platform/docker/limits.ts';
import { loadImage, unloadImage } from '../../platform/docker/load-image.ts';
import { createMask, lastLines, readLog, readStdout } from '../../platform/docker/log-lines.ts';
import { createProbe, createWakeUp, waitUntilOver } from '../../platform/docker/readiness.ts';
import { findLabelled, remove, removeContainer } from '../../platform/docker/remove.ts';
import { type ContainerImageInfo, requireMadeOfScanned, requireScanned } from '../../platform/docker/scanned.ts';
import { type BuiltWork, type Check, type CheckContext, labelsFor, referenceOf } from '../check.ts';
import { boxOf } from './box.ts';
import { concludeSmoke } from './conclusion.ts';
import { askOf, type CandidateNetwork, createCandidateNetwork, type SmokeContainer, type SmokeTest } from './network.ts';
import type { SmokePlan } from './plan.ts';
import { startRefusal } from './smoke-failure.ts';

/** After its timeout a smoke test still reads a log and cleans up, and an image that vanished is pulled once more. */
const deadlineGraceMs = 2 * 60_000;
/** How often an image that somebody removed between pull and start is pulled again. */
const pullsAtMost = 3;

interface BuiltSmokeTest extends SmokeContainer, BuiltWork<SmokePlan> {}

/** What a container is made of. */
interface ImageToRun {
  readonly reference: string;
  /** Has the engine have it, also where somebody removed it meanwhile. */
  readonly load: () => Promise<void>;
}

interface Daemon {
  /** `os/arch`, as image indexes say it. */
  readonly platform: string;
  /** Docker refuses a limit above it. */
  readonly cpus: number;
}

export function createSmokeTest(context: CheckContext): Check<SmokePlan> {
  if (context.hostReach === 'network' && context.ownContainer === undefined)
    throw new Error("a worker that reaches containers by network has to know its own container's id: see workerReach");
  const images = sharedImages(context.docker);
  return {
    check: (work) => smokeTest({ ...context, ...work, images }),
    checkBuilt: (work) => smokeTestBuilt({ ...context, ...work, images }),
  };
}

/** The same for what was built, which an engine of its platform is given without any registry. */
async function smokeTestBuilt({ image, files, ...test }: BuiltSmokeTest): Promise<Checked | undefined> {
  const { docker, settings: smoke, run, signal } = test;
  const daemon = await describeDaemon(docker);
  if (!isFor(image.platform, daemon.platform)) return undefined;
  const environment = await readEnvironment(smoke, test.baseDir, test.secrets);
  await removeEarlier(test);
  const reference = `landfall.local/${image.digest.slice('sha256:'.length, 'sha256:'.length + 32)}:built`;
  const built = { ...test, reference, load: () => loadImage(docker, reference, files) };
  test.later(`remove image ${reference}`, () => unloadImage(docker, reference), { isAwaited: false });
  await built.load();
  const labels = labelsFor(test, nameOf(run), smoke.timeoutMs + deadlineGraceMs);
  signal.throwIfAborted();
  const network = await createCandidateNetwork(test, labels);
  signal.throwIfAborted();
  const container = await createContainer(built, daemon, network, environment, labels);
  return watchOver(test, daemon, network, container, environment);
}

/**
 * Runs the image in a box of its own, and says when it was ready, or how it ended.
 * @throws Refusal `SmokeFailed`, `PlatformMissing`, `CredentialsRefused`, `FileNotFound` or `SecretMissing`; RateLimit; an ordinary
 *   error where Docker or the registry is broken; the signal's reason once it is aborted
 */
async function smokeTest(test: SmokeTest): Promise<Checked> {
  const { docker, plan, settings: smoke, run, signal } = test;
  const daemon = await describeDaemon(docker);
  requirePlatform(test.image, daemon.platform);
  const environment = await readEnvironment(smoke, test.baseDir, test.secrets);
  await removeEarlier(test);
  const load = () => takeImage(test, daemon);
  await load();
  await requireScanned(docker, plan, test.image);
  const labels = labelsFor(test, nameOf(run), smoke.timeoutMs + deadlineGraceMs);
  signal.throwIfAborted();
  const network = await createCandidateNetwork(test, labels);
  signal.throwIfAborted();
  const container = await createContainer(
    { ...test, reference: referenceOf(test.image), load },
    daemon,
    network,
    environment,
    labels,
  );
  const chosen = (made: ContainerImageInfo) => requireMadeOfScanned(made, plan, test.image);
  return watchOver(test, daemon, network, container, environment, chosen);
}

async function removeEarlier({ docker, ownershipKey, run }: SmokeContainer): Promise<void> {
  for (const left of (await findLabelled(docker, ownershipKey, run.rollout)).ours)
    if (isEarlier(left.owner, run)) await remove(docker, left);
}

/** The first word with the daemon, so the one that says what to do where there is none. */
async function describeDaemon(docker: Docker): Promise<Daemon> {
  const [version, info] = await Promise.all([docker.version(), docker.info()]).catch((error: unknown) => {
    throw explainUnreachable(error);
  });
  return { platform: `${version.Os}/${version.Arch}`, cpus: Number(info.NCPU) };
}

function requirePlatform(image: VerifiedImage, platform: string): void {
  const has = image.platforms.map((each) => each.platform);
  const isThere = has.some((each) => isFor(each, platform));
  if (has.length > 0 && !isThere) throw platformMissing(referenceOf(image), platform, has);
}

/** A variant (linux/arm/v7) is for Docker to choose. @param daemon the daemon's own platform */
function isFor(platform: string, daemon: string): boolean {
  return platform === daemon || platform.startsWith(`${daemon}/`);
}

async function takeImage(test: SmokeTest, { platform }: Daemon): Promise<void> {
  const reference = referenceOf(test.image);
  // Removing a large image takes Docker seconds, which no rollout has to wait for.
  test.later(`remove image ${reference}`, () => test.images.giveBack(reference), { isAwaited: false });
  const { credentials, signal, now } = test;
  const mostBytes = test.plan.mostImageBytes ?? usualImageBytes;
  await test.images.take(reference, { platform, credentials, signal, now, mostBytes });
}

/** Creating is never cut short: the daemon would go on, and make a container after its clean-up. */
async function createContainer(
  test: SmokeContainer & ImageToRun,
  daemon: Daemon,
  network: CandidateNetwork,
  { variables }: ContainerEnvironment,
  labels: Record<string, string>,
): Promise<Docker.Container> {
  const { docker, settings: smoke } = test;
  const name = nameOf(test.run);
  const { reference: Image } = test;
  const Env = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
  test.later(`remove container ${name}`, () => removeContainer(docker, name));
  for (let pulls = 1; ; pulls += 1) {
    try {
      const { Config } = await docker.getImage(Image).inspect();
      const options = { name, Image, Labels: labels, Env, ...boxOf(smoke, Config, network, daemon.cpus) };
      return await createBounded(docker, options, smoke.diskBytes ?? usualLimits.diskBytes);
    } catch (error) {
      // Somebody, perhaps another worker that is done with it, removed the image after we pulled it.
      if (!isMissing(error) || pulls >= pullsAtMost) throw error;
      await test.load();
    }
  }
}

/** From the start to the verdict. The watch begins before the start, so that nothing is missed. */
async function watchOver(
  test: SmokeContainer,
  daemon: Daemon,
  network: CandidateNetwork,
  container: Docker.Container,
  environment: ContainerEnvironment,
  requireChosen: (made: ContainerImageInfo) => void = () => undefined,
): Promise<Checked> {
  const { docker, signal, settings: smoke } = test;
  const mask = createMask(environment.secrets);
  const wakeUp = createWakeUp();
  const watch = new AbortController();
  test.later('end the watch', async () => watch.abort());
  const created: Docker.ContainerInspectInfo & ContainerImageInfo = await container.inspect({ abortSignal: signal });
  requireChosen(created);
  await watchContainer(docker, container.id, created.Created, wakeUp.trigger, AbortSignal.any([watch.signal, signal]));

  const { platform } = daemon;
  const where = `platform ${platform}`;
  const readTail = async () => lastLines(await readLog(docker, container.id, created.Config.Tty), mask);
  try {
    await container.start();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { State } = await container.inspect();
    throw startRefusal(error, State, { smoke, where, probe: undefined, log: await readTail(), mask }) ?? error;
  }
  // Before that, Docker may have taken seconds of its own, which prove nothing of the container.
  const startedAt = performance.now();
  const probe = smoke.probe && createProbe(smoke.probe, container, await askFor(test, network, container));
  const isOneShot = smoke.expect !== undefined;
  const result = await waitUntilOver({ container, limits: smoke, isOneShot, probe, startedAt, wakeUp, signal });
  const readOutput = () => readStdout(docker, container.id, created.Config.Tty);
  const log = await readTail();
  return await concludeSmoke(result, { smoke, where, probe, log, mask, before: 'on', place: platform, readOutput });
}

/** How the port of the configured probe is asked, if it has one. */
async function askFor(test: SmokeContainer, network: CandidateNetwork, container: Docker.Container): Promise<Ask | undefined> {
  const { probe, timeoutMs } = test.settings;
  if (probe === undefined || probe.kind === 'exec') return undefined;
  return await askOf(test, network, container, probe, timeoutMs + deadlineGraceMs);
}
