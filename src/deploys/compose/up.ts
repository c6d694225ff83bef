import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { Refusal } from '../../domain/failures.ts';
import type { Container } from '../../platform/docker/container.ts';
import { requireRunning, waitUntilReady } from '../docker/readiness.ts';
import { failed } from '../kit/refusals.ts';
import type { ComposeContext } from './context.ts';
import { runToEnd } from './detached-program.ts';
import { type ComposeSite, composeCommand, inOneLine } from './project.ts';
import { findServices, mendInterrupted } from './services.ts';

/** A daemon that shuts down fails requests a moment before it closes its connections. */
const goesWithinMs = 1_000;

export interface ComposeUp {
  readonly site: ComposeSite;
  /** As Compose names it. */
  readonly project: string;
  readonly services: readonly string[];
  /** Whether the override counts. */
  readonly isPinned: boolean;
  /** How long a container that is replaced may take to stop, whatever its own grace period; in seconds. */
  readonly stopWithin?: number;
}

/**
 * `docker compose up` for these services and no others, from images that are on the host. It is never stopped half-way but by its own
 * time-out.
 * @throws Refusal `DeployFailed`; an ordinary error if the Docker daemon went away
 */
export async function bringUp(context: ComposeContext, up: ComposeUp): Promise<void> {
  const { docker, files, target, programFolder } = context;
  const { timeoutMs, directory: cwd } = target.deploy;
  const { site, project, services, isPinned, stopWithin } = up;
  await mendInterrupted(docker, await findServices(docker, project, services));
  const stop = stopWithin === undefined ? [] : ['--timeout', String(stopWithin)];
  const args = ['up', '--detach', '--no-deps', '--no-build', '--pull', 'never', ...stop, ...services];
  const command = [...composeCommand(site, isPinned ? files.override : undefined), ...args];
  await whileDaemonStays(docker, async () => {
    const { exitCode, signal, isLate, output } = await runToEnd(programFolder, {
      command,
      cwd,
      env: site.compose.env,
      timeoutMs,
    });
    if (exitCode === 0 && !isLate) return;
    const how = isLate ? `did not end within ${timeoutMs / 1000} s` : `failed (${exitCode ?? signal})`;
    throw failed(
      `expected 'docker compose up' of ${services.join(', ')} in ${cwd} to succeed, but it ${how}: ${inOneLine(output)}`,
      [{ ...(exitCode !== undefined && { exitCode }), log: output }],
    );
  });
}

/** @throws Refusal `DeployFailed` if a container ends, turns unhealthy, or is late; the signal's reason once it is aborted */
export async function waitForServices(context: ComposeContext, up: ComposeUp, signal: AbortSignal): Promise<void> {
  const { docker, target } = context;
  const { timeoutMs } = target.deploy;
  await whileDaemonStays(docker, async () => {
    const found = await containersOf(docker, up);
    const over = new AbortController();
    const either = AbortSignal.any([signal, over.signal]);
    const waits = found.map(({ Id: id, Name, RestartCount: restarts }) =>
      waitUntilReady({ docker, id, name: Name.slice(1), timeoutMs, restarts, signal: either }),
    );
    try {
      await Promise.all(waits);
    } finally {
      // Once one has failed, do not wait for the others.
      over.abort();
      await Promise.allSettled(waits);
    }
  });
}

/** What was just brought up runs, healthy or not. @throws Refusal `DeployFailed` if a container has ended already */
export async function requireServices({ docker }: ComposeContext, up: ComposeUp): Promise<void> {
  await whileDaemonStays(docker, async () => {
    for (const { Name } of await containersOf(docker, up)) await requireRunning(docker, Name.slice(1));
  });
}

async function containersOf(docker: Docker, { project, services }: ComposeUp): Promise<Container[]> {
  const found = await findServices(docker, project, services);
  const missing = found.find(({ containers }) => containers.length === 0);
  if (missing !== undefined) throw failed(`expected a container of ${missing.name} after 'docker compose up', found none`, [{}]);
  return found.flatMap(({ containers }) => containers.map(({ container }) => container));
}

/** A failure while the daemon shuts down is retried, and not blamed on the image. */
async function whileDaemonStays(docker: Docker, act: () => Promise<void>): Promise<void> {
  const presence = await watchDaemon(docker);
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refusal) || !(await presence.isBroken(goesWithinMs))) throw error;
    throw new Error(`the Docker daemon went away during the deploy, which is tried again (${error.message})`, { cause: error });
  } finally {
    presence.end();
  }
}

/**
 * Watches whether the Docker daemon is there all the while: when it goes, it takes containers with it, which says nothing about them.
 * @returns once the daemon has answered: it closes this connection before it stops its containers
 */
export async function watchDaemon(docker: Docker) {
  const stop = new AbortController();
  // Events that hardly ever come: it is the connection that tells.
  const filters = { type: ['daemon' as const], event: ['reload'] };
  const stream = await docker.getEvents({ filters, abortSignal: stop.signal });
  const gone = new AbortController();
  const breaks = () => gone.abort();
  stream.on('error', breaks).on('end', breaks).on('close', breaks).resume();
  return {
    /** @param withinMs how long it is waited for: what the daemon lives on may end before it does itself */
    async isBroken(withinMs: number): Promise<boolean> {
      await pause(withinMs, undefined, { signal: gone.signal }).catch(() => undefined);
      return gone.signal.aborted;
    },
    end: () => stop.abort(),
  };
}
