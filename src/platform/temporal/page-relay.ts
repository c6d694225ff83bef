import { once } from 'node:events';
import { createServer, type IncomingMessage, request as pass, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { createIsForUs } from '../http/own-name.ts';
import { listenAt, type PortChoice } from '../ports.ts';
import type { RelayServer, RelayTarget } from './relay.ts';

/** Of one connection, not of the message (RFC 9110, 7.6.1): each side of the relay has its own. */
const ofConnection = /^(?:connection|keep-alive|proxy-.*|te|trailer|upgrade|expect)$/i;

/**
 * The relay in front of Temporal's page. Who reads the page can give orders, and the page asks nobody who they are, so it is passed on
 * request by request, and only where the browser means this machine: see createIsForUs.
 */
export class PageRelay {
  readonly #ours: RelayServer;
  readonly #isForUs: ReturnType<typeof createIsForUs>;
  readonly #listener: Server;
  #port = 0;

  /** @param names by which people reach it besides loopback's */
  constructor(ours: RelayServer, names: readonly string[]) {
    this.#ours = ours;
    this.#isForUs = createIsForUs('loopback', names);
    this.#listener = createServer((request, response) => void this.#answer(request, response));
    this.#listener.on('connection', (socket) => ours.track(socket));
  }

  /** @throws where the configured port is taken */
  static async open(ours: RelayServer, names: readonly string[], choice: PortChoice): Promise<PageRelay> {
    const relay = new PageRelay(ours, names);
    relay.#port = await listenAt(relay.#listener, choice);
    return relay;
  }

  get port(): number {
    return this.#port;
  }

  passTo(target: RelayTarget): void {
    this.#ours.passTo(target);
  }

  /** The port is kept. */
  shut(): void {
    this.#ours.shut();
  }

  /** The same, and gives the port back. */
  async close(): Promise<void> {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.shut();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!this.#isForUs(request) || request.url?.startsWith('/') !== true) return refuse(request, response);
    try {
      const server = await this.#ours.connect();
      response.once('close', () => server.destroy());
      await exchange(request, response, server);
    } catch {
      // As if nobody listened: nothing is passed on to a server that is not known to be ours.
      response.destroy();
    }
  }
}

function refuse(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  response.writeHead(421, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', Connection: 'close' });
  response.end(
    `Temporal's page answers only to this machine's own name, and this request named another one (in Host or Origin).\n` +
      `Open it as http://localhost or http://127.0.0.1, or say in landfall.yaml where people reach it (temporal.ui).\n`,
  );
}

async function exchange(request: IncomingMessage, response: ServerResponse, server: Socket): Promise<void> {
  const { method, url: path } = request;
  const headers = [...headersOfMessage(request), 'Connection', 'close'];
  const passed = pass({ createConnection: () => server, method, path, headers });
  passed.on('error', () => response.destroy());
  request.pipe(passed);
  const [answer]: IncomingMessage[] = await once(passed, 'response');
  if (answer === undefined) return;
  response.writeHead(answer.statusCode ?? 502, headersOfMessage(answer));
  await pipeline(answer, response);
}

/** Names and values by turns, as they were sent. */
function headersOfMessage({ rawHeaders }: IncomingMessage): string[] {
  return rawHeaders.filter((_, at) => !ofConnection.test(rawHeaders[at - (at % 2)] ?? ''));
}
