import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { isMissing } from './errors.ts';
import { keepAsking, type Probe } from './probe.ts';

export type State = Docker.ContainerInspectInfo['State'];

/** SIGKILL. */
const killedBySignal = 137;
const causeWithinMs = 2_000;

/** What is known beside the container's own state. */
export interface Observed {
  /** The probe was answered. */
  readonly proven: boolean;
  /** `stayUp` has passed since the start. */
  readonly stayedUp: boolean;
  /** `timeout` has passed since the start. */
  readonly timedOut: boolean;
  readonly probe: Pick<Probe, 'kind' | 'what'> | undefined;
}

export type Verdict =
  | { readonly kind: 'ready'; readonly by: 'http' | 'tcp' | 'exec' | 'healthcheck' | 'stayUp' }
  | { readonly kind: 'exited' }
  | { readonly kind: 'unhealthy' }
  | { readonly kind: 'timed-out' };

/** Whether it is over, and how; undefined: not yet. What the container is now counts more than what it answered a moment ago. */
export function judge(state: State, observed: Observed): Verdict | undefined {
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

/** Undefined for an image without HEALTHCHECK, or with one that says NONE. */
export function healthOf(state: State): string | undefined {
  const status = state.Health?.Status;
  return status === 'none' || status === '' ? undefined : status;
}

export interface Judgement {
  readonly verdict: Verdict;
  readonly state: State;
  /** Milliseconds since the start. */
  readonly afterMs: number;
  /** What the probe found last, where it was not answered. */
  readonly lastFound?: string;
}

export interface Waiting {
  readonly container: Docker.Container;
  /** Longest time to ready; and how long it must stay up where nothing else says that it is. */
  readonly limits: { readonly timeoutMs: number; readonly stayUpMs: number };
  readonly probe: Probe | undefined;
  /** `performance.now()` of the start. */
  readonly startedAt: number;
  /** Something happened to the container. */
  readonly bell: Bell;
  readonly signal: AbortSignal;
}

/** Looks at the container whenever the bell rings, until it is over. */
export async function waitUntilOver(waiting: Waiting): Promise<Judgement> {
  const { container, limits, probe, startedAt, bell, signal } = waiting;
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const observed = { proven: false, stayedUp: false, timedOut: false, probe };
  const notice = (change: Partial<typeof observed>) => {
    Object.assign(observed, change);
    bell.ring();
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
  signal.addEventListener('abort', bell.ring);
  try {
    for (;;) {
      const state = await look(container, signal);
      const afterMs = Math.round(performance.now() - startedAt);
      const verdict = judge(state, observed);
      if (verdict) {
        const known = verdict.kind === 'exited' ? await withCause(container, state, signal) : state;
        return { verdict, state: known, afterMs, ...(lastFound === undefined ? {} : { lastFound }) };
      }
      await bell.rung();
      signal.throwIfAborted();
    }
  } finally {
    for (const timer of timers) clearTimeout(timer);
    signal.removeEventListener('abort', bell.ring);
    ended.abort();
    await asking;
  }
}

/** Docker hears that the kernel killed for want of memory by another way than of the exit, and sometimes a moment later. */
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

/** A container that is being removed has been killed by whoever removes it: its exit code says nothing about the image. */
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

/** Rung any number of times, it wakes whoever waits once; rung while nobody waits, the next one does not wait at all. */
export interface Bell {
  readonly ring: () => void;
  rung(): Promise<void>;
}

export function createBell(): Bell {
  let isRung = false;
  let wake = () => {};
  return {
    ring: () => {
      isRung = true;
      wake();
    },
    async rung() {
      if (!isRung) await new Promise<void>((resolve) => (wake = resolve));
      isRung = false;
    },
  };
}
