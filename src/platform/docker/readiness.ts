import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { isMissing } from './errors.ts';
import { keepAsking, type Probe } from './probe.ts';

export type State = Docker.ContainerInspectInfo['State'];

/** SIGKILL. */
const killedBySignal = 137;
const causeWithinMs = 2_000;

/** What is known beside the container's own state. */
export interface ReadinessObservation {
  /** The probe was answered. */
  readonly proven: boolean;
  /** `stayUp` has passed since the start. */
  readonly stayedUp: boolean;
  /** `timeout` has passed since the start. */
  readonly timedOut: boolean;
  readonly probe: Pick<Probe, 'kind' | 'what'> | undefined;
}

export type ReadinessVerdict =
  | { readonly kind: 'ready'; readonly by: 'http' | 'tcp' | 'exec' | 'healthcheck' | 'stayUp' }
  | { readonly kind: 'exited' }
  | { readonly kind: 'unhealthy' }
  | { readonly kind: 'timed-out' };

/** Undefined: not decided yet. The container's state now counts more than what it answered a moment ago. */
export function judge(state: State, observed: ReadinessObservation): ReadinessVerdict | undefined {
  if (!state.Running) return { kind: 'exited' };
  const health = healthOf(state);
  if (health === 'unhealthy') return { kind: 'unhealthy' };
  if (observed.probe !== undefined) {
    if (observed.proven) return { kind: 'ready', by: observed.probe.kind };
  } else if (health !== undefined) {
    if (health === 'healthy') return { kind: 'ready', by: 'healthcheck' };
  } else if (observed.stayedUp) return { kind: 'ready', by: 'stayUp' };
  return observed.timedOut ? { kind: 'timed-out' } : undefined;
}

/** Undefined for an image without HEALTHCHECK, or with `HEALTHCHECK NONE`. */
export function healthOf(state: State): string | undefined {
  const status = state.Health?.Status;
  return status === 'none' || status === '' ? undefined : status;
}

export interface ReadinessResult {
  readonly verdict: ReadinessVerdict;
  readonly state: State;
  /** Milliseconds since the start. */
  readonly afterMs: number;
  /** What the probe found last, if it was not answered. */
  readonly lastFound?: string;
}

export interface ReadinessRun {
  readonly container: Docker.Container;
  /** Longest time to ready; and how long it must stay up if nothing else says that it is. */
  readonly limits: { readonly timeoutMs: number; readonly stayUpMs: number };
  readonly probe: Probe | undefined;
  /** `performance.now()` of the start. */
  readonly startedAt: number;
  /** Triggered when something happened to the container. */
  readonly wakeUp: WakeUp;
  readonly signal: AbortSignal;
}

/** Inspects the container at every wake-up, until there is a verdict. */
export async function waitUntilOver(waiting: ReadinessRun): Promise<ReadinessResult> {
  const { container, limits, probe, startedAt, wakeUp, signal } = waiting;
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const observed = { proven: false, stayedUp: false, timedOut: false, probe };
  const notice = (change: Partial<typeof observed>) => {
    Object.assign(observed, change);
    wakeUp.trigger();
  };
  const passed = performance.now() - startedAt;
  const timers = [
    setTimeout(() => notice({ stayedUp: true }), limits.stayUpMs - passed),
    setTimeout(() => notice({ timedOut: true }), limits.timeoutMs - passed),
  ];
  let lastFound: string | undefined;
  const asking =
    probe &&
    keepAsking(
      probe,
      both,
      () => notice({ proven: true }),
      (found) => (lastFound = found),
    );
  signal.addEventListener('abort', wakeUp.trigger);
  try {
    for (;;) {
      const state = await look(container, signal);
      const afterMs = Math.round(performance.now() - startedAt);
      const verdict = judge(state, observed);
      if (verdict) {
        const known = verdict.kind === 'exited' ? await withCause(container, state, signal) : state;
        return { verdict, state: known, afterMs, ...(lastFound !== undefined && { lastFound }) };
      }
      await wakeUp.wait();
      signal.throwIfAborted();
    }
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', wakeUp.trigger);
    ended.abort();
    await asking;
  }
}

/** Docker learns about OOM kills from a different event than the exit, sometimes slightly later: wait for it. */
async function withCause(container: Docker.Container, exited: State, signal: AbortSignal): Promise<State> {
  if (exited.ExitCode !== killedBySignal) return exited;
  const deadline = performance.now() + causeWithinMs;
  let state: State | undefined = exited;
  while (state !== undefined && !state.OOMKilled && performance.now() < deadline) {
    await pause(100, undefined, { signal });
    state = await inspectState(container, signal);
  }
  return state?.OOMKilled ? state : exited;
}

/** A container that is being removed was killed by that removal: its exit code says nothing about the image. */
async function look(container: Docker.Container, signal: AbortSignal): Promise<State> {
  const state = await inspectState(container, signal);
  if (state !== undefined && !['removing', 'dead'].includes(state.Status)) return state;
  throw new Error('somebody removed the container while it was tested; it is tested again');
}

async function inspectState(container: Docker.Container, signal: AbortSignal): Promise<State | undefined> {
  try {
    return (await container.inspect({ abortSignal: signal })).State;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Any number of triggers wake the waiter once; a trigger while nobody waits makes the next `wait` return at once. */
export interface WakeUp {
  readonly trigger: () => void;
  wait(): Promise<void>;
}

export function createWakeUp(): WakeUp {
  let isTriggered = false;
  let wake = () => {};
  return {
    trigger: () => {
      isTriggered = true;
      wake();
    },
    async wait() {
      if (!isTriggered) await new Promise<void>((resolve) => (wake = resolve));
      isTriggered = false;
    },
  };
}
