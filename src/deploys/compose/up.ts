import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import type { ComposeProgram } from '../../platform/compose/find-compose.ts';
import { waitUntilReady } from '../docker/readiness.ts';
import { type DaemonPresence, watchDaemon } from './daemon-presence.ts';
import { runToEnd } from './program.ts';
import { type Place, placeArguments } from './project.ts';
import { failed, inOneLine } from './refusals.ts';
import { findServices, removeHalfWay } from './services.ts';

/** A daemon that goes fails what it is asked a moment before it closes its connections. */
const goesWithinMs = 1_000;

export interface Up {
  readonly docker: Docker;
  readonly compose: ComposeProgram;
  readonly place: Place;
  /** As Compose names it. */
  readonly project: string;
  readonly services: readonly string[];
  readonly override?: string;
  readonly timeoutMs: number;
  /** How long a container that is replaced may take to stop, whatever its own grace period; in seconds. */
  readonly stopWithin?: number;
  /** For what runs: see `runToEnd`. */
  readonly folder: string;
}

/**
 * `docker compose up` for these services and no others, from images that are on the host. It is never stopped half-way but by its own
 * time-out.
 * @throws Refusal `DeployFailed`; an ordinary error where the Docker daemon went away
 */
export async function bringUp(up: Up): Promise<void> {
  const { docker, project, services } = up;
  await removeHalfWay(docker, await findServices(docker, project, services));
  await whileDaemonStays(docker, () => composeUp(up));
}

/** @throws Refusal `DeployFailed` where a container ends, turns unhealthy, or is late; the signal's reason once it is aborted */
export async function waitForServices(up: Up, signal: AbortSignal): Promise<void> {
  await whileDaemonStays(up.docker, () => allReady(up, signal));
}

async function composeUp({ compose, place, override, services, timeoutMs, folder, stopWithin }: Up): Promise<void> {
  const stop = stopWithin === undefined ? [] : ['--timeout', String(stopWithin)];
  const args = ['up', '--detach', '--no-deps', '--no-build', '--pull', 'never', ...stop, ...services];
  const command = [...compose.words, ...placeArguments(place, override), ...args];
  const ended = await runToEnd(folder, { command, cwd: place.directory, env: compose.env, timeoutMs });
  const { exitCode, isLate, output } = ended;
  if (exitCode === 0 && !isLate) return;
  const how = isLate ? `did not end within ${timeoutMs / 1000} s` : `failed (${exitCode ?? ended.signal})`;
  const details = { ...(exitCode !== undefined && { exitCode }), log: output };
  throw failed(
    `expected 'docker compose up' of ${services.join(', ')} in ${place.directory} to succeed, but it ${how}: ${inOneLine(output)}`,
    details,
  );
}

async function allReady({ docker, project, services, timeoutMs }: Up, signal: AbortSignal): Promise<void> {
  const found = await findServices(docker, project, services);
  const missing = found.find(({ containers }) => containers.length === 0);
  if (missing !== undefined) throw failed(`expected a container of ${missing.name} after 'docker compose up', found none`, {});
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const waits = found
    .flatMap(({ containers }) => containers)
    .map(({ container: { Id, Name, RestartCount } }) =>
      waitUntilReady({ docker, id: Id, name: Name.slice(1), timeoutMs, restarts: RestartCount, signal: either }),
    );
  try {
    await Promise.all(waits);
  } finally {
    // The others need not be waited for once one has failed.
    over.abort();
    await Promise.allSettled(waits);
  }
}

/** What fails while the daemon goes is tried again, and not blamed on the image. */
async function whileDaemonStays(docker: Docker, act: () => Promise<void>): Promise<void> {
  const presence: DaemonPresence = await watchDaemon(docker);
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refusal) || !(await presence.isBroken(goesWithinMs))) throw error;
    throw new Error(`the Docker daemon went away during the deploy, which is tried again (${error.message})`, { cause: error });
  } finally {
    presence.end();
  }
}
