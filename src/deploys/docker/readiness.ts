import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import type { Refusal } from '../../domain/failures.ts';
import { requireAlive } from '../../platform/docker/connect.ts';
import type { Container } from '../../platform/docker/container.ts';
import { holdsSecret } from '../../platform/docker/environment.ts';
import { explainUnreachable, statusOf } from '../../platform/docker/errors.ts';
import { watchContainer } from '../../platform/docker/events.ts';
import { createMask, lastLines, readLog, type TextMask } from '../../platform/docker/log-lines.ts';
import { createWakeUp, healthOf } from '../../platform/docker/readiness.ts';
import { hostFailure } from '../kit/host-failure.ts';
import { failed, refused } from '../kit/refusals.ts';
import { rejoinNetworks } from './own-networks.ts';
import { findContainer, isWantedRunning } from './slot.ts';

/** A container without HEALTHCHECK that stays up for this long counts as started. */
const stayUpMs = 2_000;
/** The previous container's port may stay taken for a moment, and a daemon that just came up may not be ready yet. */
const startAgainMs = 500;
const startsAtMost = 3;

export interface ReadinessWait {
  readonly docker: Docker;
  readonly id: string;
  readonly name: string;
  readonly timeoutMs: number;
  /** How often Docker had started it again before; a person may have started it. */
  readonly restarts: number;
  readonly signal: AbortSignal;
}

/**
 * @throws Refusal `DeployFailed` if Docker says that it cannot be started, `DeployRefused` if that is the host's trouble; an ordinary
 *   error if Docker does not answer
 */
export async function start(docker: Docker, id: string, name: string): Promise<void> {
  const made = await inspectPresent(docker, id, name);
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
  const container = await inspectPresent(docker, id, name);
  const why = maskOf(container)(messageOf(error).replace(/^\(HTTP code \d+\) [^-]*- /, ''));
  const text = `expected ${name} to start, but Docker could not start it: ${why}`;
  if (hostFailure(messageOf(error)) === undefined) return failed(text, [], error);
  return refused(`${text}; that is this host's trouble and not the image's: mend it, then retry`, error);
}

/**
 * Waits until a started container runs and is healthy, or without a HEALTHCHECK has stayed up for a moment.
 * @throws Refusal `DeployFailed` with its last log lines if it ends, turns unhealthy, or is not healthy in time; the signal's reason
 */
export async function waitUntilReady({ docker, id, name, timeoutMs, restarts, signal }: ReadinessWait): Promise<void> {
  const { Created } = await inspectPresent(docker, id, name);
  const wakeUp = createWakeUp();
  const ended = new AbortController();
  const startedAt = performance.now();
  // A timer may fire a little early, and nothing would wake the loop again.
  const timers = [stayUpMs, timeoutMs].map((after) => setTimeout(wakeUp.trigger, after + 10));
  signal.addEventListener('abort', wakeUp.trigger);
  try {
    await watchContainer(docker, id, Created, wakeUp.trigger, AbortSignal.any([ended.signal, signal]));
    for (;;) {
      signal.throwIfAborted();
      const container = await inspectPresent(docker, id, name);
      const waitedMs = performance.now() - startedAt;
      const verdict = judge(container, { restarts, waitedMs, timeoutMs });
      if (verdict === 'ready') return;
      if (verdict !== undefined) throw await failure(docker, container, name, verdict);
      await wakeUp.wait();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw explainUnreachable(error);
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', wakeUp.trigger);
    ended.abort();
  }
}

/** @throws Refusal `DeployFailed` if a container that was just started has ended already; one that is not to run may be stopped */
export async function requireRunning(docker: Docker, name: string): Promise<void> {
  const container = await inspectPresent(docker, name, name);
  const { State } = container;
  const hasEnded = State.Restarting || (State.Status === 'exited' && isWantedRunning(container));
  if (hasEnded) throw await failure(docker, container, name, `it exited with code ${State.ExitCode}`);
}

/** `ready`, or what it did instead of becoming so; undefined: not yet. */
export function judge(
  { State, RestartCount }: Pick<Container, 'State' | 'RestartCount'>,
  { restarts, waitedMs, timeoutMs }: Pick<ReadinessWait, 'restarts' | 'timeoutMs'> & { readonly waitedMs: number },
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

/** @throws Error if it is gone, or going */
export async function inspectPresent(docker: Docker, id: string, name: string): Promise<Container> {
  const container = await findContainer(docker, id);
  if (container !== undefined && !['removing', 'dead'].includes(container.State.Status)) return container;
  throw new Error(`somebody removed ${name} while it was deployed; it is deployed again`);
}

async function failure(docker: Docker, container: Container, name: string, what: string): Promise<Refusal> {
  await requireAlive(docker);
  const mask = maskOf(container);
  const log = await readLog(docker, container.Id, container.Config.Tty ?? false).then(
    (bytes) => lastLines(bytes, mask),
    // A log driver that keeps no log must not hide the failure itself.
    (error) => `(Docker does not give its log: ${messageOf(error)})`,
  );
  const { Running, ExitCode, OOMKilled } = container.State;
  const details = {
    container: name,
    ...(Running ? {} : { exitCode: ExitCode }),
    ...(OOMKilled ? { outOfMemory: true } : {}),
    log,
  };
  const lines = log === '' ? '' : `; its log ends with: ${log.split('\n').slice(-3).join(' | ').slice(-500)}`;
  return failed(mask(`expected ${name} to come up, but ${what}${lines}`), [details]);
}

/** Hides what its environment holds: variables that are secret by name, and passwords in addresses. */
function maskOf({ Config }: Container): TextMask {
  const secrets = (Config.Env ?? []).flatMap((variable) => {
    const [, name = '', value = ''] = /^([^=]*)=([\s\S]*)$/.exec(variable) ?? [];
    const passwords = [...value.matchAll(/:\/\/[^:/@\s]*:([^@/\s]+)@/g)].map(([, password = '']) => password);
    return holdsSecret(name) ? [value, ...passwords] : passwords;
  });
  return createMask(secrets);
}
