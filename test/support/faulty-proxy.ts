import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';

/** What happens to one request on its way to the real server. */
export type Fault =
  /** Answered by the proxy: 500, or 429 with `{ 'retry-after': '2' }`. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  /** Never answered, until the client gives up or the proxy stops. */
  | { readonly kind: 'hang' }
  /** The connection is cut before the answer. */
  | { readonly kind: 'cut' }
  /** The connection is cut in the middle of the real answer's body. */
  | { readonly kind: 'cut-body' }
  /** Nothing: the request passes. */
  | { readonly kind: 'pass' };

export interface SeenRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

export interface FaultyProxy {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  /** Every request that came, faulty or not. */
  readonly requests: readonly SeenRequest[];
  /** Adds faults, one for each coming request; after them all requests pass. */
  next(...faults: readonly Fault[]): void;
  /** How many faults have not happened yet. */
  remaining(): number;
  stop(): Promise<void>;
}

/**
 * An HTTP proxy in front of a real server (`http://HOST:PORT`), whose requests go wrong by script: the first request meets the first
 * fault, and so on; then all pass. Where `applies` is given, the other requests pass and use no fault up.
 */
export async function startFaultyProxy(
  target: string,
  options: {
    readonly faults?: readonly Fault[];
    readonly applies?: (request: SeenRequest) => boolean;
    readonly port?: number;
  } = {},
): Promise<FaultyProxy> {
  const faults = [...(options.faults ?? [])];
  const requests: SeenRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const seen = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers };
    requests.push(seen);
    const fault = options.applies?.(seen) === false ? undefined : faults.shift();
    answer(target, fault ?? { kind: 'pass' }, incoming, outgoing);
  }).listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  const host = `127.0.0.1:${address.port}`;
  return {
    host,
    url: `http://${host}`,
    requests,
    next: (...more) => void faults.push(...more),
    remaining: () => faults.length,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function answer(target: string, fault: Fault, incoming: IncomingMessage, outgoing: ServerResponse): void {
  switch (fault.kind) {
    case 'hang':
      return;
    case 'cut':
      incoming.socket.destroy();
      return;
    case 'status':
      incoming.resume();
      outgoing.writeHead(fault.status, fault.headers).end(fault.body ?? '');
      return;
    default:
      pass(target, incoming, outgoing, fault.kind === 'cut-body');
  }
}

/** The Host header passes unchanged, so that the server's own links (`Location`) lead through the proxy as well. */
function pass(target: string, incoming: IncomingMessage, outgoing: ServerResponse, cutBody: boolean): void {
  const { method, headers, url } = incoming;
  const forwarded = request(new URL(url ?? '/', target), { method: method ?? 'GET', headers }, (reply) => {
    outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
    if (!cutBody) {
      reply.on('error', () => outgoing.destroy());
      reply.pipe(outgoing);
      return;
    }
    reply.once('data', (chunk: Buffer) => {
      outgoing.write(chunk.subarray(0, chunk.length / 2), () => outgoing.destroy());
      reply.destroy();
    });
  });
  forwarded.on('error', () => outgoing.destroy());
  incoming.pipe(forwarded);
}
