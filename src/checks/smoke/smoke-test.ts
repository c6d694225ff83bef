import type Docker from 'dockerode';
import type { SmokeSummary, VerifiedImage } from '../../domain/outcomes.ts';
import type { Plan, SmokePlan } from '../../domain/plan.ts';
import type { Later } from '../../platform/docker/clean-up.ts';
import { type ContainerEnvironment, readEnvironment } from '../../platform/docker/environment.ts';
import { explainUnreachable, isMissing, platformMissing } from '../../platform/docker/errors.ts';
import { watchContainer } from '../../platform/docker/events.ts';
import type { Credentials, Images } from '../../platform/docker/images.ts';
import { isEarlier, labelsOf, nameOf, type SmokeRun } from '../../platform/docker/labels.ts';
import { createMask, lastLines, readLog } from '../../platform/docker/log-lines.ts';
import { type Address, createProbe } from '../../platform/docker/probe.ts';
import type { HostReach } from '../../platform/docker/reach.ts';
import { createBell, waitUntilOver } from '../../platform/docker/readiness.ts';
import { findOurs, remove, removeContainer } from '../../platform/docker/remove.ts';
import { type MadeOf, requireMadeOfScanned, requireScanned } from '../../platform/docker/scanned.ts';
import { containerOptions, probedPort } from './container-options.ts';
import { type FailureContext, smokeRefusal, startRefusal } from './smoke-failure.ts';
import { createSmokeNetwork } from './smoke-network.ts';

/** After its timeout a smoke test still reads a log and cleans up, and an image that vanished is pulled once more. */
const deadlineGraceMs = 2 * 60_000;
/** How often an image that somebody removed between pull and start is pulled again. */
const pullsAtMost = 3;

export interface SmokeTest {
  readonly docker: Docker;
  readonly images: Images;
  readonly plan: Plan;
  readonly image: VerifiedImage;
  readonly run: SmokeRun;
  readonly workerId: string;
  readonly installation?: string;
  /** See ownershipKey. */
  readonly ownershipKey: string;
  readonly baseDir: string;
  readonly secrets: (value: string) => string;
  readonly credentials: (registry: string) => Promise<Credentials | undefined>;
  readonly hostReach: HostReach;
  readonly ownContainer?: string;
  readonly now: () => Date;
  readonly later: Later;
  readonly signal: AbortSignal;
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
export async function smokeTest(test: SmokeTest): Promise<SmokeSummary> {
  const { docker, plan, run, later, signal } = test;
  const { smoke } = plan;
  if (smoke === undefined) throw new Error(`the plan of ${plan.service} has no smoke test, so it should not be asked for`);
  const daemon = await describeDaemon(docker);
  requirePlatform(test.image, daemon.platform);
  const environment = await readEnvironment(smoke, test.baseDir, test.secrets);
  for (const left of await findOurs(docker, test.ownershipKey, run.rollout))
    if (isEarlier(left.owner, run)) await remove(docker, left);

  await takeImage(test, daemon);
  await requireScanned(docker, plan, test.image);
  const owner = { ...run, worker: test.workerId, deadline: deadlineOf(test, smoke), ...installationOf(test) };
  const labels = labelsOf(owner, nameOf(run), test.ownershipKey);
  signal.throwIfAborted();
  await createSmokeNetwork(docker, nameOf(run), labels, later);
  signal.throwIfAborted();
  const container = await createContainer(test, smoke, daemon, environment, labels);
  return watchOver(test, smoke, daemon, container, environment);
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

function deadlineOf(test: SmokeTest, smoke: SmokePlan): Date {
  return new Date(test.now().getTime() + smoke.timeoutMs + deadlineGraceMs);
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
  smoke: SmokePlan,
  daemon: Daemon,
  { variables }: ContainerEnvironment,
  labels: Readonly<Record<string, string>>,
): Promise<Docker.Container> {
  const name = nameOf(test.run);
  const image = referenceOf(test.image);
  const { hostReach } = test;
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
  smoke: SmokePlan,
  daemon: Daemon,
  container: Docker.Container,
  environment: ContainerEnvironment,
): Promise<SmokeSummary> {
  const { docker, signal } = test;
  const mask = createMask(environment.secrets);
  const bell = createBell();
  const watch = new AbortController();
  test.later('end the watch', async () => watch.abort());
  const created: Docker.ContainerInspectInfo & MadeOf = await container.inspect({ abortSignal: signal });
  requireMadeOfScanned(created, test.plan, test.image);
  await watchContainer(docker, container.id, created.Created, bell.ring, AbortSignal.any([watch.signal, signal]));

  const readTail = async () => lastLines(await readLog(docker, container.id, created.Config.Tty), mask);
  const startedAt = performance.now();
  try {
    await container.start();
  } catch (error) {
    const failure = { smoke, platform: daemon.platform, probe: undefined, log: await readTail(), mask };
    throw (await explainStart(container, error, failure)) ?? error;
  }
  const probe = createProbe(smoke, container, await addressOf(test, smoke, container));
  const judgement = await waitUntilOver({ container, smoke, probe, startedAt, bell, signal });
  const log = await readTail();
  const { verdict, afterMs } = judgement;
  if (verdict.kind !== 'ready') throw smokeRefusal(judgement, { smoke, platform: daemon.platform, probe, log, mask });
  return { kind: 'smoked', platform: daemon.platform, readyBy: verdict.by, readyAfterMs: afterMs, log };
}

async function explainStart(container: Docker.Container, error: unknown, failure: FailureContext) {
  if (!(error instanceof Error)) return undefined;
  const { State } = await container.inspect();
  return startRefusal(error, State, failure);
}

/** Where the probed port is for this worker; undefined where the container has exited already. */
async function addressOf(test: SmokeTest, smoke: SmokePlan, container: Docker.Container): Promise<Address | undefined> {
  const port = probedPort(smoke);
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
