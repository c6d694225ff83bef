import { get } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { messageOf } from '../../domain/errors.ts';

/** What is asked of a container. `exec`: a command run in it; ready when it exits 0. */
export type ReadyProbe =
  | { readonly kind: 'http'; readonly port: number; readonly path: string }
  | { readonly kind: 'tcp'; readonly port: number }
  | { readonly kind: 'exec'; readonly command: readonly string[] };

/** Asks the container whether it is ready. */
export interface Probe {
  readonly kind: 'http' | 'tcp' | 'exec';
  /** What is asked, for messages: `http port 8080 /health`. */
  readonly what: string;
  /** Undefined if it is ready, else what came instead. Never throws but for the signal. */
  ask(signal: AbortSignal): Promise<string | undefined>;
}

/** Where the container's port is for us. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** Docker's proxy is in between, and accepts connections for a port that nobody in the container listens on. */
  readonly proxied: boolean;
}

const askAgainMs = 250;
const answerWithinMs = 5_000;
/** How long a connection through Docker's proxy must hold to be one to the container: the proxy closes others at once. */
const heldMs = 300;

/** @param address undefined if the container has none (yet), which is no answer */
export function createProbe(probe: ReadyProbe, container: Docker.Container, address: Address | undefined): Probe {
  const { kind } = probe;
  const asked =
    (ask: (address: Address, signal: AbortSignal) => ReturnType<Probe['ask']>): Probe['ask'] =>
    async (signal) =>
      address === undefined ? 'no address' : ask(address, signal);
  switch (probe.kind) {
    case 'http':
      return {
        kind,
        what: `http port ${probe.port} ${probe.path}`,
        ask: asked((at, signal) => askHttp(at, probe.path, signal)),
      };
    case 'tcp':
      return { kind, what: `tcp port ${probe.port}`, ask: asked(askTcp) };
    case 'exec':
      return { kind, what: `exec ${probe.command.join(' ')}`, ask: (signal) => askExec(container, probe.command, signal) };
  }
}

/** Asks until it is answered or the signal ends it, a moment apart. */
export async function keepAsking(
  probe: Probe,
  signal: AbortSignal,
  answered: () => void,
  missed: (found: string) => void,
): Promise<void> {
  while (!signal.aborted) {
    // The caller waits for other things meanwhile, so nothing must be thrown.
    const found = await probe.ask(signal).catch(messageOf);
    if (signal.aborted) return;
    if (found === undefined) return answered();
    missed(found);
    await delay(askAgainMs, undefined, { signal }).catch(() => undefined);
  }
}

function askHttp({ host, port }: Address, path: string, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const headers = { 'user-agent': 'landfall-smoke', connection: 'close' };
    const request = get({ host, port, path, headers, signal, agent: false, timeout: answerWithinMs }, (response) => {
      const status = response.statusCode ?? 0;
      // Only the status counts; the body may be endless.
      response.destroy();
      resolve(status >= 200 && status < 400 ? undefined : `answered ${status}`);
    });
    request.on('timeout', () => request.destroy(new Error(`did not answer within ${answerWithinMs / 1000} s`)));
    request.on('error', (error) => resolve(messageOf(error)));
  });
}

function askTcp({ host, port, proxied }: Address, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, signal });
    const end = (found: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(found);
    };
    let timer = setTimeout(() => end('did not connect'), answerWithinMs);
    socket.on('connect', () => {
      if (!proxied) return end(undefined);
      clearTimeout(timer);
      timer = setTimeout(() => end(undefined), heldMs);
    });
    socket.on('data', () => end(undefined));
    socket.on('end', () => end('nobody listens'));
    socket.on('error', (error) => end(messageOf(error)));
  });
}

async function askExec(
  container: Docker.Container,
  command: readonly string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const options = { Cmd: [...command], AttachStdout: true, AttachStderr: true, abortSignal: signal };
    const exec = await container.exec(options);
    const output = await exec.start({ abortSignal: signal });
    // The command has ended when its output has; what it says is not kept.
    for await (const _ of output) signal.throwIfAborted();
    const { ExitCode } = await exec.inspect({ abortSignal: signal });
    return ExitCode === 0 ? undefined : `exited with ${ExitCode ?? 'no code'}`;
  } catch (error) {
    return messageOf(error);
  }
}
