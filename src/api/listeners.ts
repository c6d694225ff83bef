import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Log } from './errors.ts';
import { problemDocument, problemMediaType } from './problem.ts';

export interface ListenerSettings {
  /** For messages, and the name of the setting: `listen.webhooks`, `listen.operators`. */
  readonly name: string;
  /** A Koa app's `callback()`. */
  readonly handler: RequestListener;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** Times in milliseconds. They hold for slow and idle senders; whoever sends steadily never meets them. */
export interface ConnectionLimits {
  readonly headersTimeoutMs: number;
  /** The whole request, body included. Longer than the body's own limit, which gets to answer first. */
  readonly requestTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly headerBytes: number;
  readonly connections: number;
  /** How long requests in work may take to finish at shutdown. */
  readonly graceMs: number;
}

const defaultLimits: ConnectionLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 20_000,
  idleTimeoutMs: 30_000,
  headerBytes: 16 * 1024,
  // Each may hold a body of 1 MiB in memory.
  connections: 256,
  graceMs: 10_000,
};

export interface Listeners {
  /** @returns where each listens now, in the order of the settings. @throws Error naming the setting of the one that cannot */
  start(): Promise<readonly AddressInfo[]>;
  /** Takes no more requests, lets those in work finish for a bounded time, and cuts the rest; one listener after the other. */
  stop(): Promise<void>;
}

export function createListeners(
  settings: readonly ListenerSettings[],
  log: Log,
  limits: Partial<ConnectionLimits> = {},
): Listeners {
  const all = { ...defaultLimits, ...limits };
  const listeners = settings.map((setting) => ({ setting, server: createListener(setting, all, log) }));
  const stop = async (): Promise<void> => {
    for (const { setting, server } of listeners) {
      if (server.listening) await close(server, setting.name, all.graceMs, log);
    }
  };
  return {
    start: async () => {
      try {
        const addresses: AddressInfo[] = [];
        for (const { setting, server } of listeners) addresses.push(await listen(server, setting));
        return addresses;
      } catch (error) {
        await stop();
        throw error;
      }
    },
    stop,
  };
}

function createListener({ handler, name }: ListenerSettings, limits: ConnectionLimits, log: Log): Server {
  const server = createServer({
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: 5_000,
    maxHeaderSize: limits.headerBytes,
    // Node looks for timed-out connections only every 30 s otherwise.
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, limits.headersTimeoutMs / 4)),
  });
  server.maxConnections = limits.connections;
  server.setTimeout(limits.idleTimeoutMs);
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    response.on('finish', () => {
      if (!server.listening) setImmediate(() => server.closeIdleConnections());
    });
    if (!server.listening) response.setHeader('Connection', 'close');
    handler(request, response);
  };
  server.on('request', handle);
  // Without this Node would ask for the body at once, however large it is said to be; whoever reads the body asks.
  server.on('checkContinue', handle);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => refuse(error, socket, name, log));
  server.on('drop', () => log.warn({ listener: name, connections: limits.connections }, 'too many connections: one was refused'));
  return server;
}

async function listen(server: Server, { name, host, port }: ListenerSettings): Promise<AddressInfo> {
  try {
    server.listen(port, host);
    await once(server, 'listening');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`${name}: cannot listen on ${host}:${port} (${reason}); choose another address or port`, { cause: error });
  }
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`${name}: expected a TCP address`);
  return address;
}

async function close(server: Server, name: string, graceMs: number, log: Log): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  const timer = setTimeout(() => {
    log.warn({ listener: name, graceMs }, 'requests were cut off: they did not finish in time');
    server.closeAllConnections();
  }, graceMs);
  await closed;
  clearTimeout(timer);
}

/** What never becomes a request: no HTTP, headers that are too long, or a sender who is too slow. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex, name: string, log: Log): void {
  log.info({ listener: name, code: error.code }, 'a connection was refused');
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const problem = refusals[error.code ?? ''] ?? { status: 400, message: 'Expected an HTTP/1.1 request.' };
  const body = JSON.stringify(problemDocument(problem));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `Content-Type: ${problemMediaType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

const refusals: Readonly<Record<string, { readonly status: number; readonly message: string }>> = {
  HPE_HEADER_OVERFLOW: { status: 431, message: 'Expected shorter headers.' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, message: 'Expected the whole request sooner.' },
};
