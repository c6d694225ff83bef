import { setTimeout as pause } from 'node:timers/promises';
import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';
import type { Ask, PortProbe } from './ask.ts';
import { unlessMissing } from './errors.ts';

/** What is asked of a container. `exec`: a command run in it; ready when it exits 0. */
export type ReadyProbe = PortProbe | { readonly kind: 'exec'; readonly command: readonly string[] };

/** Asks the container whether it is ready. */
export interface Probe {
  readonly kind: ReadyProbe['kind'];
  /** What is asked, for messages: `http port 8080 /health`. */
  readonly what: string;
  /** Undefined if it is ready, else what came instead. To throw means the same. */
  ask(signal: AbortSignal): Promise<string | undefined>;
}

const askAgainMs = 250;

/** For messages: `http port 8080 /health`. */
export function describeProbe(probe: ReadyProbe): string {
  if (probe.kind === 'exec') return `exec ${probe.command.join(' ')}`;
  return probe.kind === 'http' ? `http port ${probe.port} ${probe.path}` : `tcp port ${probe.port}`;
}

/** @param ask how the container's port is asked; undefined if it has no address (yet), which is no answer */
export function createProbe(probe: ReadyProbe, container: Docker.Container, ask: Ask | undefined): Probe {
  if (probe.kind === 'exec') {
    const Cmd = [...probe.command];
    return {
      kind: probe.kind,
      what: describeProbe(probe),
      async ask(abortSignal) {
        const exec = await container.exec({ Cmd, AttachStdout: true, AttachStderr: true, abortSignal });
        // The command has ended when its output has; what it says is not kept.
        for await (const _ of await exec.start({ abortSignal })) abortSignal.throwIfAborted();
        const { ExitCode } = await exec.inspect({ abortSignal });
        return ExitCode === 0 ? undefined : `exited with ${ExitCode ?? 'no code'}`;
      },
    };
  }
  return {
    kind: probe.kind,
    what: describeProbe(probe),
    ask: async (signal) => (ask === undefined ? 'no address' : await ask(signal)),
  };
}

/** Asks until it is answered or the signal ends it, a moment apart. Never throws: the caller waits for other things meanwhile. */
export async function keepAsking(
  probe: Probe,
  signal: AbortSignal,
  answered: () => void,
  missed: (found: string) => void,
): Promise<void> {
  while (!signal.aborted) {
    const found = await probe.ask(signal).catch(messageOf);
    if (signal.aborted) return;
    if (found === undefined) return answered();
    missed(found);
    await pause(askAgainMs, undefined, { signal }).catch(() => undefined);
  }
}

/** How a container is, in the words of Docker. */
export type State = Pick<
  Docker.ContainerInspectInfo['State'],
  'Running' | 'ExitCode' | 'OOMKilled' | 'Error' | 'StartedAt' | 'FinishedAt' | 'Health'
>;
type DockerState = Docker.ContainerInspectInfo['State'];

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
  /** It has to end by itself: nothing makes it ready. */
  readonly isOneShot: boolean;
  readonly probe: Pick<Probe, 'kind'> | undefined;
}

export type ReadinessVerdict =
  | { readonly kind: 'ready'; readonly by: Probe['kind'] | 'healthcheck' | 'stayUp' }
  | { readonly kind: 'exited' | 'unhealthy' | 'timed-out' };

/** Undefined: not decided yet. The container's state now counts more than what it answered a moment ago. */
export function judge(state: State, observed: ReadinessObservation): ReadinessVerdict | undefined {
  if (!state.Running) return { kind: 'exited' };
  if (observed.isOneShot) return observed.timedOut ? { kind: 'timed-out' } : undefined;
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
  /** Longest time to ready, or to its end; and how long it must stay up if nothing else says that it is ready. */
  readonly limits: { readonly timeoutMs: number; readonly stayUpMs: number };
  readonly isOneShot: boolean;
  readonly probe: Probe | undefined;
  /** `performance.now()` of the start. */
  readonly startedAt: number;
  /** Triggered when something happened to the container. */
  readonly wakeUp: WakeUp;
  readonly signal: AbortSignal;
}

/** Inspects the container at every wake-up, until there is a verdict. */
export async function waitUntilOver(waiting: ReadinessRun): Promise<ReadinessResult> {
  const { container, limits, isOneShot, probe, startedAt, wakeUp, signal } = waiting;
  const ended = new AbortController();
  const both = AbortSignal.any([signal, ended.signal]);
  const observed = { proven: false, stayedUp: false, timedOut: false, isOneShot, probe };
  const notice = (change: Partial<typeof observed>) => {
    Object.assign(observed, change);
    wakeUp.trigger();
  };
  const passed = performance.now() - startedAt;
  const timers = [
    setTimeout(() => notice({ stayedUp: true }), Math.max(0, limits.stayUpMs - passed)),
    setTimeout(() => notice({ timedOut: true }), Math.max(0, limits.timeoutMs - passed)),
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
async function withCause(container: Docker.Container, exited: DockerState, signal: AbortSignal): Promise<State> {
  if (exited.ExitCode !== killedBySignal) return exited;
  const deadline = performance.now() + causeWithinMs;
  let state: DockerState | undefined = exited;
  while (state !== undefined && !state.OOMKilled && performance.now() < deadline) {
    await pause(100, undefined, { signal });
    state = await inspectState(container, signal);
  }
  return state?.OOMKilled ? state : exited;
}

/** A container that is being removed was killed by that removal: its exit code says nothing about the image. */
async function look(container: Docker.Container, signal: AbortSignal): Promise<DockerState> {
  const state = await inspectState(container, signal);
  if (state !== undefined && !['removing', 'dead'].includes(state.Status)) return state;
  throw new Error('somebody removed the container while it was tested; it is tested again');
}

async function inspectState(container: Docker.Container, signal: AbortSignal): Promise<DockerState | undefined> {
  return (await container.inspect({ abortSignal: signal }).catch(unlessMissing))?.State;
}

export type WakeUp = ReturnType<typeof createWakeUp>;

/** Any number of triggers wake the waiter once; a trigger while nobody waits makes the next `wait` return at once. */
export function createWakeUp() {
  let isTriggered = false;
  let wake = () => {};
  return {
    trigger: () => {
      isTriggered = true;
      wake();
    },
    wait: async () => {
      if (!isTriggered) await new Promise<void>((resolve) => (wake = resolve));
      isTriggered = false;
    },
  };
}
