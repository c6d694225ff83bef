import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { formatReference, parseReference } from '../../domain/image-reference.ts';
import { type Plan, usualImageBytes } from '../../domain/plan.ts';
import type { CleanUpLater } from '../docker/clean-up.ts';
import { explainUnreachable } from '../docker/errors.ts';
import { ensureImage, type Images, type PullOptions } from '../docker/images.ts';
import { readLog } from '../docker/log-lines.ts';
import { healthOf } from '../docker/readiness.ts';
import type { CredentialsSource } from '../registry/credentials.ts';
import type { ComposeProject } from './file.ts';

const lookAgainMs = 250;
const keptOutput = 64 * 1024;

/** A service that is not fit for a test; the message says which, and what it did. */
export class ServiceFailed extends Error {}

export interface ImageNeeds extends Pick<PullOptions, 'now' | 'signal'> {
  readonly docker: Docker;
  /** Those of this worker: the candidate is given back to them. */
  readonly images: Images;
  readonly credentials: CredentialsSource;
  readonly later: CleanUpLater;
  /** Of the candidate. */
  readonly plan: Pick<Plan, 'mostImageBytes'>;
}

/**
 * Makes sure that the candidate and the images of all other services are there, pulled with Landfall's credentials. The candidate goes
 * again in the end if it was not there before; what the other services need stays for the next check.
 * @param candidate `repository@digest`
 * @throws what a pull throws: Refusal, RateLimit, or an ordinary error
 */
export async function takeImages(needs: ImageNeeds, candidate: string, project: ComposeProject): Promise<void> {
  const { docker, images, credentials, now, later, signal } = needs;
  const { Os, Arch } = await docker.version().catch((error: unknown) => {
    throw explainUnreachable(error);
  });
  const pull = { platform: `${Os}/${Arch}`, credentials, signal, now };
  later(`remove image ${candidate}`, () => images.giveBack(candidate), { isAwaited: false });
  await images.take(candidate, { ...pull, mostBytes: needs.plan.mostImageBytes ?? usualImageBytes });
  // Compose itself builds what is built, and pulls what is for another platform.
  const others = Object.values(project.services).flatMap(({ image, build, platform }) =>
    image === undefined || image === candidate || build !== undefined || platform !== undefined ? [] : [image],
  );
  for (const image of new Set(others)) {
    const parsed = parseReference(image);
    const isBare = parsed.tag === undefined && parsed.digest === undefined;
    const reference = isBare ? `${parsed.repository}:latest` : formatReference(parsed);
    await ensureImage(docker, reference, pull);
  }
}

/** Ids of the containers of one service in the project. */
export async function containersOf(docker: Docker, project: string, service: string): Promise<string[]> {
  const label = [`com.docker.compose.project=${project}`, `com.docker.compose.service=${service}`];
  const listed = await docker.listContainers({ all: true, filters: { label } });
  return listed.map(({ Id }) => Id);
}

/**
 * Waits until these services run, and are healthy if they have a HEALTHCHECK. One that has done its work and exited with 0 is ready,
 * unless it is the candidate.
 * @throws ServiceFailed, and the signal's reason
 */
export async function waitUntilReady(
  docker: Docker,
  project: string,
  services: readonly string[],
  candidate: string,
  signal: AbortSignal,
): Promise<void> {
  for (const service of services) {
    for (const id of await containersOf(docker, project, service)) {
      while (!(await isReady(docker.getContainer(id), service, service === candidate, signal))) {
        await delay(lookAgainMs, undefined, { signal });
      }
    }
  }
}

async function isReady(container: Docker.Container, service: string, mustRun: boolean, signal: AbortSignal): Promise<boolean> {
  const { State } = await container.inspect({ abortSignal: signal });
  if (!State.Running) {
    if (State.ExitCode === 0 && !mustRun) return true;
    const why = State.OOMKilled ? ' (out of memory)' : '';
    throw new ServiceFailed(`service ${service} exited with ${State.ExitCode}${why} before the test began`);
  }
  const health = healthOf(State);
  if (health === 'unhealthy') throw new ServiceFailed(`service ${service} turned unhealthy before the test began`);
  return health === undefined || health === 'healthy';
}

/** Waits for the end of a test that is a container. @returns its exit code */
export async function waitForTest(docker: Docker, id: string, signal: AbortSignal): Promise<number> {
  const container = docker.getContainer(id);
  await container.wait({ condition: 'not-running', abortSignal: signal });
  const { State } = await container.inspect({ abortSignal: signal });
  return State.ExitCode;
}

/**
 * Runs a command in a container. Cut off, it goes on there until the container is removed.
 * @param said gets the end of what it prints, as it comes
 * @returns its exit code
 */
export async function execTest(
  docker: Docker,
  id: string,
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
  said: (output: Buffer) => void,
  signal: AbortSignal,
): Promise<number> {
  const exec = await docker.getContainer(id).exec({
    Cmd: [...command],
    Env: Object.entries(variables).map(([name, value]) => `${name}=${value}`),
    AttachStdout: true,
    AttachStderr: true,
    abortSignal: signal,
  });
  const stream = await exec.start({ abortSignal: signal });
  const output = new PassThrough();
  let kept = Buffer.alloc(0);
  output.on('data', (bytes: Buffer) => {
    kept = Buffer.concat([kept, bytes]).subarray(-keptOutput);
    said(kept);
  });
  docker.modem.demuxStream(stream, output, output);
  await finished(stream, { signal, writable: false });
  const { ExitCode } = await exec.inspect({ abortSignal: signal });
  return ExitCode ?? -1;
}

/** The end of what a service's containers printed; nothing where they cannot be read: it is advice only. */
export async function logOf(docker: Docker, project: string, service: string): Promise<Buffer> {
  try {
    const logs = (await containersOf(docker, project, service)).map(async (id) => {
      const { Config } = await docker.getContainer(id).inspect();
      return readLog(docker, id, Config.Tty);
    });
    return Buffer.concat(await Promise.all(logs));
  } catch {
    return Buffer.alloc(0);
  }
}
