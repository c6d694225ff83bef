import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import { requireAlive } from '../../platform/docker/alive.ts';
import type { Container } from '../../platform/docker/container.ts';
import { holdsSecret } from '../../platform/docker/environment.ts';
import { explainUnreachable, statusOf } from '../../platform/docker/errors.ts';
import { watchContainer } from '../../platform/docker/events.ts';
import { createMask, lastLines, type Mask, readLog } from '../../platform/docker/log-lines.ts';
import { createBell, healthOf } from '../../platform/docker/readiness.ts';
import { hostTrouble } from '../kit/host-trouble.ts';
import { findContainer } from './container.ts';
import { isWantedRunning } from './marks.ts';
import { rejoinNetworks } from './own-networks.ts';

/** Without a HEALTHCHECK, a container that is up for so long did not fall over its own start. */
const stayUpMs = 2_000;
/** A port that the container before has just given up may be taken for a moment longer, and a daemon that just came up is not settled. */
const startAgainMs = 500;
const startsAtMost = 3;

export interface Waiting {
  readonly docker: Docker;
  readonly id: string;
  readonly name: string;
  readonly timeoutMs: number;
  /** How often Docker had started it again before. */
  readonly restarts: number;
  readonly signal: AbortSignal;
}

/**
 * Starts a container.
 * @throws Refusal `DeployFailed` where Docker says that it cannot be started, `DeployRefused` where that is the host's trouble; an ordinary
 *   error where Docker does not answer
 */
export async function start(docker: Docker, id: string, name: string): Promise<void> {
  const made = await look(docker, id, name);
  for (let attempt = 1; ; attempt += 1) {
    try {
      await rejoinNetworks(docker, made);
      await docker.getContainer(id).start();
      return;
    } catch (error) {
      const status = statusOf(error);
      if (status === 304) return;
      if (status === undefined) throw explainUnreachable(error);
      if (status < 500 || attempt === startsAtMost) {
        const failure = await startFailure(docker, id, name, error);
        await rejoinNetworks(docker, made);
        throw failure;
      }
      await delay(startAgainMs * attempt);
    }
  }
}

async function startFailure(docker: Docker, id: string, name: string, error: unknown): Promise<Refusal> {
  await requireAlive(docker);
  const container = await look(docker, id, name);
  const why = maskOf(container)(messageOf(error).replace(/^\(HTTP code \d+\) [^-]*- /, ''));
  const text = `expected ${name} to start, but Docker could not start it: ${why}`;
  if (hostTrouble(messageOf(error)) === undefined) return new Refusal('DeployFailed', text, [], { cause: error });
  return new Refusal('DeployRefused', `${text}; that is this host's trouble and not the image's: mend it, then retry`, [], {
    cause: error,
  });
}

/**
 * Waits until a started container runs and is healthy, or without a HEALTHCHECK has stayed up for a moment.
 * @throws Refusal `DeployFailed` with its last log lines where it ends, turns unhealthy, or is not healthy in time; the signal's reason
 */
export async function waitUntilReady({ docker, id, name, timeoutMs, restarts, signal }: Waiting): Promise<void> {
  const { Created } = await look(docker, id, name);
  const bell = createBell();
  const ended = new AbortController();
  const startedAt = performance.now();
  // A timer may be a little early, and nobody would ring again.
  const timers = [stayUpMs, timeoutMs].map((after) => setTimeout(bell.ring, after + 10));
  signal.addEventListener('abort', bell.ring);
  try {
    await watchContainer(docker, id, Created, bell.ring, AbortSignal.any([ended.signal, signal]));
    for (;;) {
      signal.throwIfAborted();
      const container = await look(docker, id, name);
      const waitedMs = performance.now() - startedAt;
      const verdict = judge(container, { restarts, waitedMs, timeoutMs });
      if (verdict === 'ready') return;
      if (verdict !== undefined) throw await failure(docker, container, name, verdict);
      await bell.rung();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw explainUnreachable(error);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', bell.ring);
    ended.abort();
  }
}

/** @throws Refusal `DeployFailed` where a container that was just started has ended already; one that is not to run may be stopped */
export async function requireRunning(docker: Docker, name: string): Promise<void> {
  const container = await look(docker, name, name);
  const { State } = container;
  const hasEnded = State.Restarting || (State.Status === 'exited' && isWantedRunning(container));
  if (hasEnded) throw await failure(docker, container, name, `it exited with code ${State.ExitCode}`);
}

/** How many times Docker had started it again when the wait began: a person may have had it tried before. */
interface Waited {
  readonly restarts: number;
  readonly waitedMs: number;
  readonly timeoutMs: number;
}

/** `ready`, or what it did instead of becoming so; undefined: not yet. */
export function judge(
  { State, RestartCount }: Pick<Container, 'State' | 'RestartCount'>,
  { restarts, waitedMs, timeoutMs }: Waited,
): 'ready' | string | undefined {
  if (!State.Running || State.Restarting) {
    if (State.OOMKilled) return `it ran out of memory (exit code ${State.ExitCode})`;
    return `it exited with code ${State.ExitCode}${State.Error === '' ? '' : ` (${State.Error})`}`;
  }
  if (RestartCount > restarts) return `it exited, and Docker had to start it again (${RestartCount} times)`;
  const health = healthOf(State);
  if (health === 'healthy') return 'ready';
  if (health === 'unhealthy') return `its HEALTHCHECK turned unhealthy${lastHealth(State)}`;
  if (health === undefined && waitedMs >= Math.min(stayUpMs, timeoutMs)) return 'ready';
  if (waitedMs >= timeoutMs) return `its HEALTHCHECK was not passed within ${Math.round(timeoutMs / 1000)} s${lastHealth(State)}`;
  return undefined;
}

/** What its HEALTHCHECK printed last. */
function lastHealth({ Health }: Container['State']): string {
  const last = Health?.Log?.at(-1);
  const output = last?.Output.trim().slice(0, 300);
  return output ? `: ${output}` : '';
}

async function look(docker: Docker, id: string, name: string): Promise<Container> {
  const container = await findContainer(docker, id);
  if (container !== undefined && !['removing', 'dead'].includes(container.State.Status)) return container;
  throw new Error(`somebody removed ${name} while it was deployed; it is deployed again`);
}

async function failure(docker: Docker, container: Container, name: string, what: string): Promise<Refusal> {
  await requireAlive(docker);
  const mask = maskOf(container);
  const log = await lastLog(docker, container, mask);
  const { Running, ExitCode, OOMKilled } = container.State;
  const details = {
    container: name,
    ...(Running ? {} : { exitCode: ExitCode }),
    ...(OOMKilled ? { outOfMemory: true } : {}),
    log,
  };
  const lines = log === '' ? '' : `; its log ends with: ${log.split('\n').slice(-3).join(' | ').slice(-500)}`;
  return new Refusal('DeployFailed', mask(`expected ${name} to come up, but ${what}${lines}`), [details]);
}

/** A log driver that keeps nothing must not hide what happened. */
async function lastLog(docker: Docker, container: Container, mask: Mask): Promise<string> {
  try {
    return lastLines(await readLog(docker, container.Id, container.Config.Tty ?? false), mask);
  } catch (error) {
    return `(Docker does not give its log: ${messageOf(error)})`;
  }
}

/** Hides what its environment holds: variables that are secret by name, and passwords in addresses. */
function maskOf({ Config }: Container): Mask {
  const secrets = (Config.Env ?? []).flatMap((variable) => {
    const [, name = '', value = ''] = /^([^=]*)=([\s\S]*)$/.exec(variable) ?? [];
    const passwords = [...value.matchAll(/:\/\/[^:/@\s]*:([^@/\s]+)@/g)].map(([, password = '']) => password);
    return holdsSecret(name) ? [value, ...passwords] : passwords;
  });
  return createMask(secrets);
}
