import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import { quoted } from '../../domain/evidence.ts';
import type { Checked, VerifiedImage } from '../../domain/outcomes.ts';
import { type ContainerEnvironment, readEnvironment } from '../../platform/docker/environment.ts';
import { explainUnreachable, isMissing, platformMissing } from '../../platform/docker/errors.ts';
import { watchContainer } from '../../platform/docker/events.ts';
import { sharedImages } from '../../platform/docker/images.ts';
import { isEarlier, nameOf } from '../../platform/docker/labels.ts';
import { createMask, lastLines, readLog } from '../../platform/docker/log-lines.ts';
import { type Address, createProbe, createWakeUp, waitUntilOver } from '../../platform/docker/readiness.ts';
import { findLabelled, remove, removeContainer, removeNetwork } from '../../platform/docker/remove.ts';
import { type ContainerImageInfo, requireMadeOfScanned, requireScanned } from '../../platform/docker/scanned.ts';
import { type Check, type CheckContext, type DockerCheck, labelsFor, referenceOf } from '../check.ts';
import type { SmokePlan } from './plan.ts';
import { smokeRefusal, startRefusal } from './smoke-failure.ts';

/** After its timeout a smoke test still reads a log and cleans up, and an image that vanished is pulled once more. */
const deadlineGraceMs = 2 * 60_000;
/** How often an image that somebody removed between pull and start is pulled again. */
const pullsAtMost = 3;

type SmokeTest = DockerCheck<SmokePlan>;

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
  return { check: (work) => smokeTest({ ...context, ...work, images }) };
}

/**
 * Runs the image in a container and network of its own, and says when it was ready.
 * @throws Refusal `SmokeFailed`, `PlatformMissing`, `CredentialsRefused`, `FileNotFound` or `SecretMissing`; RateLimit; an ordinary
 *   error where Docker or the registry is broken; the signal's reason once it is aborted
 */
async function smokeTest(test: SmokeTest): Promise<Checked> {
  const { docker, plan, settings: smoke, run, signal } = test;
  const daemon = await describeDaemon(docker);
  requirePlatform(test.image, daemon.platform);
  const environment = await readEnvironment(smoke, test.baseDir, test.secrets);
  for (const left of (await findLabelled(docker, test.ownershipKey, run.rollout)).ours)
    if (isEarlier(left.owner, run)) await remove(docker, left);

  await takeImage(test, daemon);
  await requireScanned(docker, plan, test.image);
  const labels = labelsFor(test, nameOf(run), smoke.timeoutMs + deadlineGraceMs);
  signal.throwIfAborted();
  await createNetwork(test, nameOf(run), labels);
  signal.throwIfAborted();
  const container = await createContainer(test, daemon, environment, labels);
  return watchOver(test, daemon, container, environment);
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
  // A variant (linux/arm/v7) is for Docker to choose.
  const isThere = has.some((each) => each === platform || each.startsWith(`${platform}/`));
  if (has.length > 0 && !isThere) throw platformMissing(referenceOf(image), platform, has);
}

async function takeImage(test: SmokeTest, { platform }: Daemon): Promise<void> {
  const reference = referenceOf(test.image);
  // Removing a large image takes Docker seconds, which no rollout has to wait for.
  test.later(`remove image ${reference}`, () => test.images.giveBack(reference), { isAwaited: false });
  const { credentials, signal, now } = test;
  await test.images.take(reference, { platform, credentials, signal, now });
}

/** A bridge network of its own, so that the container under test meets nothing else. */
async function createNetwork({ docker, later }: SmokeTest, name: string, labels: Record<string, string>): Promise<void> {
  later(`remove network ${name}`, () => removeNetwork(docker, name));
  try {
    await docker.createNetwork({ Name: name, Driver: 'bridge', CheckDuplicate: true, Labels: labels });
  } catch (error) {
    if (!/address pool/i.test(messageOf(error))) throw error;
    throw new Error(
      `Docker has no addresses left for another network (${messageOf(error)}): remove unused ones with 'docker network prune', ` +
        "or give Docker more with default-address-pools in the daemon's configuration",
      { cause: error },
    );
  }
}

/** Creating is never cut short: the daemon would go on, and make a container after its clean-up. */
async function createContainer(
  test: SmokeTest,
  daemon: Daemon,
  { variables }: ContainerEnvironment,
  labels: Record<string, string>,
): Promise<Docker.Container> {
  const name = nameOf(test.run);
  const options = {
    ...containerLimits(test, daemon.cpus),
    name,
    Image: referenceOf(test.image),
    Labels: labels,
    Env: Object.entries(variables).map(([key, value]) => `${key}=${value}`),
  };
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

/** A container that can do no more than the plan allows: no host paths, no capabilities, bounded memory, CPU, processes and log. */
function containerLimits({ settings: smoke, run, hostReach }: SmokeTest, hostCpus: number): Docker.ContainerCreateOptions {
  const port = probedPort(smoke);
  const publishes = port !== undefined && hostReach === 'loopback';
  return {
    ...(smoke.command !== undefined && { Cmd: [...smoke.command] }),
    ...(publishes && { ExposedPorts: { [`${port}/tcp`]: {} } }),
    HostConfig: {
      NetworkMode: nameOf(run),
      // Docker chooses the host's port, so that smoke tests never fight over one.
      ...(publishes && { PortBindings: { [`${port}/tcp`]: [{ HostIp: '127.0.0.1', HostPort: '' }] } }),
      Memory: smoke.memoryBytes,
      // Memory and swap together: no swap.
      MemorySwap: smoke.memoryBytes,
      NanoCpus: Math.round(Math.min(smoke.cpus, hostCpus) * 1e9),
      PidsLimit: smoke.pids,
      CapDrop: ['ALL'],
      CapAdd: [...smoke.capabilities],
      SecurityOpt: ['no-new-privileges'],
      Privileged: false,
      RestartPolicy: { Name: 'no' },
      // Whoever removes it wants to read its log first.
      AutoRemove: false,
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } },
    },
  };
}

/** The port of the configured probe, if it has one. */
function probedPort({ probe }: SmokePlan): number | undefined {
  return probe === undefined || probe.kind === 'exec' ? undefined : probe.port;
}

/** From the start to the verdict. The watch begins before the start, so that nothing is missed. */
async function watchOver(
  test: SmokeTest,
  daemon: Daemon,
  container: Docker.Container,
  environment: ContainerEnvironment,
): Promise<Checked> {
  const { docker, signal, settings: smoke } = test;
  const mask = createMask(environment.secrets);
  const wakeUp = createWakeUp();
  const watch = new AbortController();
  test.later('end the watch', async () => watch.abort());
  const created: Docker.ContainerInspectInfo & ContainerImageInfo = await container.inspect({ abortSignal: signal });
  requireMadeOfScanned(created, test.plan, test.image);
  await watchContainer(docker, container.id, created.Created, wakeUp.trigger, AbortSignal.any([watch.signal, signal]));

  const { platform } = daemon;
  const readTail = async () => lastLines(await readLog(docker, container.id, created.Config.Tty), mask);
  try {
    await container.start();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { State } = await container.inspect();
    throw startRefusal(error, State, { smoke, platform, probe: undefined, log: await readTail(), mask }) ?? error;
  }
  // Before that, Docker may have taken seconds of its own, which prove nothing of the container.
  const startedAt = performance.now();
  const probe = smoke.probe && createProbe(smoke.probe, container, await addressOf(test, container));
  const judgement = await waitUntilOver({ container, limits: smoke, probe, startedAt, wakeUp, signal });
  const log = await readTail();
  const { verdict, afterMs } = judgement;
  if (verdict.kind !== 'ready') throw smokeRefusal(judgement, { smoke, platform, probe, log, mask });
  const after = `after ${(afterMs / 1000).toFixed(1)} s`;
  const text = `ready ${after} (${quoted(verdict.by)}) on ${quoted(platform)}`;
  const short = `ready ${after} (${verdict.by}) on ${platform}`;
  const evidence = [{ title: 'Smoke-tested', passed: true, text, short, log }];
  return { kind: 'checked', text: `ready by ${verdict.by} ${after} on ${platform}`, evidence };
}

/** Where the probed port is for this worker; undefined where the container has exited already. */
async function addressOf(test: SmokeTest, container: Docker.Container): Promise<Address | undefined> {
  const port = probedPort(test.settings);
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
