import { get } from 'node:http';
import { connect } from 'node:net';
import { messageOf } from '../../domain/errors.ts';

/** What is asked of a port of a container. */
export type PortProbe =
  | { readonly kind: 'http'; readonly port: number; readonly path: string }
  | { readonly kind: 'tcp'; readonly port: number };

/** Undefined if it answered as it should, else what came instead. To throw means the same. */
export type Ask = (signal: AbortSignal) => Promise<string | undefined>;

/** Where the container's port is for us. */
export interface Address {
  readonly host: string;
  readonly port: number;
  /** Docker's proxy is in between, and accepts connections for a port that nobody in the container listens on. */
  readonly proxied: boolean;
}

const answerWithinMs = 5_000;
/** How long a connection through Docker's proxy must hold to be one to the container: the proxy closes others at once. */
const heldMs = 300;

/** Asks a port that this process reaches itself. */
export async function askPort(probe: PortProbe, address: Address, signal: AbortSignal): Promise<string | undefined> {
  return probe.kind === 'http' ? await askHttp(address, probe.path, signal) : await askTcp(address, signal);
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
