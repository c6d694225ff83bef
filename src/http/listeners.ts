import { once } from 'node:events';
import { createServer, type RequestListener, type Server, STATUS_CODES } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import { type AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';
import { canonicalAddress, networkOfOneSender } from './networks.ts';
import { problemMediaType, problemText } from './problem.ts';
import { createKnownNetworks, createShares, type KnownNetworks } from './shares.ts';
import { thinLines } from './thin-lines.ts';
import { keepTls, type TlsSettings } from './tls.ts';

export interface ListenerSettings {
  /** For messages, and the name of the setting: `listen.webhooks`, `listen.operators`. */
  readonly name: string;
  /** A Koa app's `callback()`. */
  readonly handler: RequestListener;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Absent: plain HTTP. */
  readonly tls?: TlsSettings;
  /** Whose connections may be more than a share of all: proxies speak for many senders. Default: nobody's. */
  readonly isProxy?: (address: string) => boolean;
  /** For whom some connections are kept. Default: nobody. */
  readonly known?: Pick<KnownNetworks, 'has'>;
}

const defaultLimits = {
  /** The TLS handshake, and then the headers of a request. */
  headersTimeoutMs: 10_000,
  /** The whole request, body included. Longer than the body's own limit, which gets to answer first. */
  requestTimeoutMs: 20_000,
  idleTimeoutMs: 30_000,
  headerBytes: 16 * 1024,
  /** How many of them may be of one network, `createShares` says. Bodies are read only for requests that have a place in work. */
  connections: 1_024,
  /** How long requests in work may take to finish at shutdown. */
  graceMs: 10_000,
};

/** They are for slow and idle senders; a steady sender never meets them. */
export type ConnectionLimits = Readonly<typeof defaultLimits>;

export type Listeners = ReturnType<typeof createListeners>;

export function createListeners(settings: readonly ListenerSettings[], log: Log, limits: Partial<ConnectionLimits> = {}) {
  const all = { ...defaultLimits, ...limits };
  const listeners = settings.map((setting) => createListener(setting, all, log));
  /** Takes no more requests, lets those in work finish for a bounded time, and cuts the rest; one listener after the other. */
  const stop = async (): Promise<void> => {
    for (const listener of listeners) await close(listener, all.graceMs, log);
  };
  return {
    /** @returns where each listens now, in the order of the settings. @throws Error naming the setting of the one that cannot */
    start: async (): Promise<readonly AddressInfo[]> => {
      try {
        const addresses: AddressInfo[] = [];
        for (const { keeper, server, setting } of listeners) {
          await keeper?.start();
          addresses.push(await listen(server, setting));
        }
        return addresses;
      } catch (error) {
        await stop();
        throw error;
      }
    },
    stop,
  };
}

type Listener = ReturnType<typeof createListener>;

function createListener(setting: ListenerSettings, limits: ConnectionLimits, log: Log) {
  const { handler, name, tls } = setting;
  const options = {
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: 5_000,
    maxHeaderSize: limits.headerBytes,
    // Node looks for timed-out connections only every 30 s otherwise.
    connectionsCheckingInterval: Math.max(50, Math.min(1_000, limits.headersTimeoutMs / 4)),
  };
  const server =
    tls === undefined
      ? createServer(options)
      : createTlsServer({
          ...options,
          handshakeTimeout: limits.headersTimeoutMs,
          // A sender without one may still authenticate in another way; receivers judge what was shown.
          requestCert: tls.trust !== undefined,
          rejectUnauthorized: false,
        });
  server.setTimeout(limits.idleTimeoutMs);
  const handle: RequestListener = (request, response) => {
    if (!server.listening) response.setHeader('Connection', 'close');
    handler(request, response);
  };
  server.on('request', handle);
  // Without this Node would ask for the body at once, however large it is said to be; the reader of the body asks.
  server.on('checkContinue', handle);
  const handshakes = tls === undefined ? new Map<string, Socket>() : followHandshakes(server);
  const secured = new WeakSet<Duplex>();
  server.on('secureConnection', (socket: Duplex) => secured.add(socket));
  const tellRefused = tellRefusals(name, log);
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    tellRefused(error, socket);
    // Without a finished handshake no answer could be read.
    refuse(error, socket, socket instanceof TLSSocket && !secured.has(socket));
  });
  admit(server, setting, limits.connections, log);
  const keeper = 'setSecureContext' in server && tls ? keepTls(server, tls, log) : undefined;
  return { setting, server, handshakes, keeper };
}

/**
 * Lets only as many connections in as the network of each may have, and resets the others: closed in order, they would take up room of
 * ours a while longer. Node's own limit (`maxConnections`) would be one for the world.
 */
function admit(server: Server | TlsServer, setting: ListenerSettings, connections: number, log: Log): void {
  const { name, isProxy = () => false, known = createKnownNetworks() } = setting;
  const shares = createShares(connections, known);
  const tell = thinLines<{ readonly address: string }>(
    { most: mostLinesInASecond },
    (about) => log.warn({ listener: name, ...about }, 'too many connections of one network, or of all: one was refused'),
    (omitted) => log.warn({ listener: name, omitted }, 'too many connections: so were others in the same second'),
  );
  const takers = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const address = canonicalAddress(socket.remoteAddress ?? '') ?? 'unknown';
    const network = networkOfOneSender(address);
    if (!(isProxy(address) ? shares.takeAny(network) : shares.take(network))) {
      socket.resetAndDestroy();
      return tell({ address });
    }
    socket.once('close', () => shares.giveBack(network));
    for (const take of takers) take.call(server, socket);
  });
}

/** Connections whose handshake is not over, which the HTTP server does not know yet, by the other end's address and port. */
function followHandshakes(server: Server | TlsServer): ReadonlyMap<string, Socket> {
  const handshakes = new Map<string, Socket>();
  // The same for a connection and for what TLS makes of it.
  const keyOf = ({ remoteAddress, remotePort }: Socket): string => `${remoteAddress} ${remotePort}`;
  server.on('connection', (socket: Socket) => {
    if (socket instanceof TLSSocket) return;
    const key = keyOf(socket);
    handshakes.set(key, socket);
    socket.once('close', () => {
      if (handshakes.get(key) === socket) handshakes.delete(key);
    });
  });
  server.on('secureConnection', (socket: Socket) => handshakes.delete(keyOf(socket)));
  return handshakes;
}

async function listen(server: Server | TlsServer, { name, host, port }: ListenerSettings): Promise<AddressInfo> {
  try {
    // As long as the system lets it be: a burst of connections that are refused must not push others out.
    server.listen({ port, host, backlog: 4_096 });
    await once(server, 'listening');
  } catch (error) {
    const reason = messageOf(error);
    throw new Error(`${name}: cannot listen on ${host}:${port} (${reason}); choose another address or port`, { cause: error });
  }
  return server.address() as AddressInfo;
}

async function close({ keeper, server, setting, handshakes }: Listener, graceMs: number, log: Log): Promise<void> {
  keeper?.stop();
  if (!server.listening) return;
  const closed = once(server, 'close');
  server.close();
  for (const socket of handshakes.values()) socket.destroy();
  // A connection whose request is answered only now would be kept alive for another one.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const timer = setTimeout(() => {
    log.warn({ listener: setting.name, graceMs }, 'requests were cut off: they did not finish in time');
    server.closeAllConnections();
  }, graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}

/** One person who tries something is seen at once; whoever tries it by the thousand is counted. */
const mostLinesInASecond = 5;

/** Logs connections that become no request. */
function tellRefusals(listener: string, log: Log): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  const tell = thinLines<{ readonly error: NodeJS.ErrnoException; readonly socket: Duplex }>(
    { most: mostLinesInASecond },
    ({ error: { code }, socket }) => {
      const spoken = code === 'ERR_SSL_HTTP_REQUEST' ? ': expected TLS, found plain HTTP (https:// in the URL helps)' : '';
      const address = socket instanceof Socket ? canonicalAddress(socket.remoteAddress ?? '') : undefined;
      log.info({ listener, code, address }, `a connection was refused${spoken}`);
    },
    (omitted) => log.info({ listener, omitted }, 'connections were refused, so many more in the same second'),
  );
  return (error, socket) => tell({ error, socket });
}

/** What never becomes a request: no TLS, no HTTP, headers that are too long, or a sender who is too slow. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex, isUnsecured: boolean): void {
  if (isUnsecured || !socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const problem = refusals[error.code ?? ''] ?? { status: 400, message: 'Expected an HTTP/1.1 request.' };
  const body = problemText(problem);
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
