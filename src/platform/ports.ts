import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

import { codeOf } from '../domain/errors.ts';

export interface PortChoice {
  readonly ip: string;
  /** A port that somebody asked for is used as it is, or refused: never silently another. */
  readonly configured: number | undefined;
  /** Else the first of these that is free, else any. */
  readonly preferred: readonly number[];
  /** The setting's name, for the error. */
  readonly setting: string;
}

/** Has a server listen: only that finds out that a port is free and keeps it. @returns its port @throws where the configured one is taken */
export async function listenAt(server: Server, { ip, configured, preferred, setting }: PortChoice): Promise<number> {
  if (configured !== undefined) {
    if (await listens(server, ip, configured)) return configured;
    throw new Error(
      `${setting} is ${configured}, but something else listens at ${ip}:${configured}: stop that, or choose another port (without the setting, a free one is taken)`,
    );
  }
  for (const port of preferred) if (await listens(server, ip, port)) return port;
  await listens(server, ip, 0);
  return portOf(server);
}

/** False if something else listens there. */
async function listens(server: Server, ip: string, port: number): Promise<boolean> {
  try {
    server.listen(port, ip);
    await once(server, 'listening');
    return true;
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') return false;
    throw error;
  }
}

/**
 * A port for a server that has to be told where to listen. Nobody else gets it meanwhile: a connection to it was closed from its own end, and
 * for the minute that the kernel remembers that (TIME_WAIT), it gives the port only to a process that names it.
 */
export async function reservePort(ip = '127.0.0.1'): Promise<number> {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket.on('error', () => undefined).end());
  });
  await listens(server, ip, 0);
  const port = portOf(server);
  const client = connect(port, ip);
  client.resume();
  await once(client, 'close');
  // Whoever looks for a server that was at this port before may have connected too, and need not hang up.
  for (const socket of accepted) socket.destroy();
  server.close();
  await once(server, 'close');
  return port;
}

/**
 * An address of loopback for a server that nobody but this process has to find. Linux gives all of 127.0.0.0/8 to the machine itself, so a
 * page in a browser, which can try all ports of an address, cannot try all addresses; elsewhere there is only 127.0.0.1.
 */
export async function findOwnLoopback(): Promise<string> {
  const [a, b, c] = randomBytes(3);
  const own = `127.${a}.${b}.${c === 255 ? 1 : c || 1}`;
  const server = createServer();
  try {
    await listens(server, own, 0);
    server.close();
    return own;
  } catch {
    return '127.0.0.1';
  }
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error(`expected a TCP address, found ${address}`);
  return address.port;
}
