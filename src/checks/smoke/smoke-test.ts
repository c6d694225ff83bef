import type Docker from 'dockerode';
import { quoted } from '../../domain/evidence.ts';
import type { Checked, VerifiedImage } from '../../domain/outcomes.ts';
import { type ContainerEnvironment, readEnvironment } from '../../platform/docker/environment.ts';
import { explainUnreachable, isMissing, platformMissing } from '../../platform/docker/errors.ts';
import { watchContainer } from '../../platform/docker/events.ts';
import type { Images } from '../../platform/docker/images.ts';
import { isEarlier, labelsOf, nameOf } from '../../platform/docker/labels.ts';
import { createMask, lastLines, readLog } from '../../platform/docker/log-lines.ts';
import { type Address, createProbe } from '../../platform/docker/probe.ts';
import { createWakeUp, waitUntilOver } from '../../platform/docker/readiness.ts';
import { findOurs, remove, removeContainer } from '../../platform/docker/remove.ts';
import { type ContainerImageInfo, requireMadeOfScanned, requireScanned } from '../../platform/docker/scanned.ts';
import type { CheckContext, CheckWork } from '../check.ts';
import { containerOptions, probedPort } from './container-options.ts';
import type { SmokePlan } from './plan.ts';
import { type FailureContext, smokeRefusal, startRefusal } from './smoke-failure.ts';
import { createSmokeNetwork } from './smoke-network.ts';

/** After its timeout a smoke test still reads a log and cleans up, and an image that vanished is pulled once more. */
const deadlineGraceMs = 2 * 60_000;
/** How often an image that somebody removed between pull and start is pulled again. */
const pullsAtMost = 3;

/** What the test is made with, and this run of it. */
export interface SmokeTest extends Omit<CheckWork<SmokePlan>, 'settings'>, CheckContext {
  readonly smoke: SmokePlan;
  readonly images: Images;
}

interface Daemon {
  /** `os/arch`, as image indexes say it. */
  readonly platform: string;
  readonly cpus: number;
}

/**
 * Runs the image in a container and network of its own, and says when it was ready.
 * @throws Refusal `SmokeFailed`, `PlatformMissing`, `CredentialsRefused`, `FileNotFound` or `SecretMissing`; RateLimit; an ordinary
 *   error where Docker or the registry is broken; the signal's reason once it is aborted
 */
export async function smokeTest(test: SmokeTest): Promise<Checked> {
  const { docker, plan, smoke, run, later, signal } = test;
  const daemon = await describeDaemon(docker);
  requirePlatform(test.image, daemon.platform);
  const environment = await readEnvironment(smoke, test.baseDir, test.secrets);
  for (const left of await findOurs(docker, test.ownershipKey, run.rollout))
    if (isEarlier(left.owner, run)) await remove(docker, left);

  await takeImage(test, daemon);
  await requireScanned(docker, plan, test.image);
  const owner = { ...run, worker: test.workerId, deadline: deadlineOf(test), ...installationOf(test) };
  const labels = labelsOf(owner, nameOf(run), test.ownershipKey);
  signal.throwIfAborted();
  await createSmokeNetwork(docker, nameOf(run), labels, later);
  signal.throwIfAborted();
  const container = await createContainer(test, daemon, environment, labels);
  return watchOver(test, daemon, container, environment);
}

/** The first word with the daemon, so the one that says what to do where there is none. */
async function describeDaemon(docker: Docker): Promise<Daemon> {
  try {
    const [version, info] = await Promise.all([docker.version(), docker.info()]);
    return { platform: `${version.Os}/${version.Arch}`, cpus: Number(info.NCPU) };
  } catch (error) {
    throw explainUnreachable(error);
  }
}

function requirePlatform(image: VerifiedImage, platform: string): void {
  const has = image.platforms.map((each) => each.platform);
  // A variant (linux/arm/v7) is for Docker to choose.
  const isThere = has.some((each) => each === platform || each.startsWith(`${platform}/`));
  if (has.length > 0 && !isThere) throw platformMissing(referenceOf(image), platform, has);
}

function referenceOf(image: VerifiedImage): string {
  return `${image.repository}@${image.digest}`;
}

function deadlineOf({ now, smoke }: SmokeTest): Date {
  return new Date(now().getTime() + smoke.timeoutMs + deadlineGraceMs);
}

function installationOf({ installation }: SmokeTest): { installation?: string } {
  return installation === undefined ? {} : { installation };
}

async function takeImage(test: SmokeTest, { platform }: Daemon): Promise<void> {
  const reference = referenceOf(test.image);
  const registry = reference.slice(0, reference.indexOf('/'));
  // Removing a large image takes Docker seconds, which no rollout has to wait for.
  test.later(`remove image ${reference}`, () => test.images.giveBack(reference), { isAwaited: false });
  await test.images.take(reference, {
    platform,
    credentials: () => test.credentials(registry),
    signal: test.signal,
    now: test.now,
  });
}

/** Creating is never cut short: the daemon would go on, and make a container after its clean-up. */
async function createContainer(
  test: SmokeTest,
  daemon: Daemon,
  { variables }: ContainerEnvironment,
  labels: Readonly<Record<string, string>>,
): Promise<Docker.Container> {
  const name = nameOf(test.run);
  const image = referenceOf(test.image);
  const { hostReach, smoke } = test;
  const options = containerOptions(smoke, { name, image, labels, network: name, variables, hostReach, hostCpus: daemon.cpus });
  test.later(`remove container ${name}`, () => removeContainer(test.docker, name));
  for (let pulls = 1; ; pulls += 1) {
    try {
      return await test.docker.createContainer(options);
    } catch (error) {
      // Somebody, perhaps another worker that is done with it, removed the image after we pulled it.
      if (!isMissing(error) || pulls >= pullsAtMost) throw error;
      await takeImage(test, daemon);
    }
  }
}

/** From the start to the verdict. The watch begins before the start, so that nothing is missed. */
async function watchOver(
  test: SmokeTest,
  daemon: Daemon,
  container: Docker.Container,
  environment: ContainerEnvironment,
): Promise<Checked> {
  const { docker, signal, smoke } = test;
  const mask = createMask(environment.secrets);
  const bell = createWakeUp();
  const watch = new AbortController();
  test.later('end the watch', async () => watch.abort());
  const created: Docker.ContainerInspectInfo & ContainerImageInfo = await container.inspect({ abortSignal: signal });
  requireMadeOfScanned(created, test.plan, test.image);
  await watchContainer(docker, container.id, created.Created, bell.trigger, AbortSignal.any([watch.signal, signal]));

  const readTail = async () => lastLines(await readLog(docker, container.id, created.Config.Tty), mask);
  const startedAt = performance.now();
  try {
    await container.start();
  } catch (error) {
    const failure = { smoke, platform: daemon.platform, probe: undefined, log: await readTail(), mask };
    throw (await explainStart(container, error, failure)) ?? error;
  }
  const probe = smoke.probe && createProbe(smoke.probe, container, await addressOf(test, container));
  const judgement = await waitUntilOver({ container, limits: smoke, probe, startedAt, wakeUp: bell, signal });
  const log = await readTail();
  const { verdict, afterMs } = judgement;
  if (verdict.kind !== 'ready') throw smokeRefusal(judgement, { smoke, platform: daemon.platform, probe, log, mask });
  return smoked(daemon.platform, verdict.by, afterMs, log);
}

function smoked(platform: string, readyBy: string, afterMs: number, log: string): Checked {
  const seconds = `${(afterMs / 1000).toFixed(1)} s`;
  return {
    kind: 'checked',
    text: `ready by ${readyBy} after ${seconds} on ${platform}`,
    evidence: [
      {
        title: 'Smoke-tested',
        passed: true,
        text: `ready after ${seconds} (${quoted(readyBy)}) on ${quoted(platform)}`,
        short: `ready after ${seconds} (${readyBy}) on ${platform}`,
        log,
      },
    ],
  };
}

async function explainStart(container: Docker.Container, error: unknown, failure: FailureContext) {
  if (!(error instanceof Error)) return undefined;
  const { State } = await container.inspect();
  return startRefusal(error, State, failure);
}

/** Where the probed port is for this worker; undefined where the container has exited already. */
async function addressOf(test: SmokeTest, container: Docker.Container): Promise<Address | undefined> {
  const port = probedPort(test.smoke);
  if (port === undefined) return undefined;
  const network = nameOf(test.run);
  if (test.hostReach === 'network' && test.ownContainer !== undefined) {
    // The network's removal, which is arranged already, takes whoever is in it out first.
    await test.docker.getNetwork(network).connect({ Container: test.ownContainer });
  }
  const { Networks, Ports } = (await container.inspect()).NetworkSettings;
  if (test.hostReach === 'network') {
    const host = Networks[network]?.IPAddress;
    return host ? { host, port, proxied: false } : undefined;
  }
  const published = Ports[`${port}/tcp`]?.[0];
  return published ? { host: '127.0.0.1', port: Number(published.HostPort), proxied: true } : undefined;
}
