import { once } from 'node:events';
import { createServer, type IncomingMessage, request as pass, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { createIsForUs } from '../http/own-name.ts';
import type { RelayServer } from './relay.ts';

/** Of one connection, not of the message (RFC 9110, 7.6.1): each side of the relay has its own. */
const ofConnection = /^(?:connection|keep-alive|proxy-.*|te|trailer|upgrade|expect)$/i;

/**
 * Passes requests on to Temporal's page, for a Relay in front of it. Who reads the page can give orders, and the page asks nobody who they are,
 * so it is passed on request by request, and only where the browser means this machine: see createIsForUs.
 * @param names by which people reach it besides loopback's
 */
export function passingPage(ours: RelayServer, names: readonly string[]): Server {
  const isForUs = createIsForUs('loopback', names);
  return createServer((request, response) => {
    if (isForUs(request) && request.url?.startsWith('/')) void answer(request, response, ours);
    else refuse(request, response);
  }).on('connection', (socket) => ours.track(socket));
}

async function answer(request: IncomingMessage, response: ServerResponse, ours: RelayServer): Promise<void> {
  try {
    const server = await ours.connect();
    response.once('close', () => server.destroy());
    await exchange(request, response, server);
  } catch {
    // As if nobody listened: nothing is passed on to a server that is not known to be ours.
    response.destroy();
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
