import { once } from 'node:events';
import { createServer } from 'node:net';

export interface PortChoice {
  readonly ip: string;
  /** A port that somebody asked for is used as it is, or refused: never silently another. */
  readonly configured: number | undefined;
  readonly preferred: number;
  /** The setting's name, for the error. */
  readonly setting: string;
}

/** @throws where the configured port is taken */
export async function choosePort({ ip, configured, preferred, setting }: PortChoice): Promise<number> {
  if (configured !== undefined) {
    if (await isFree(ip, configured)) return configured;
    throw new Error(
      `${setting} is ${configured}, but something else listens at ${ip}:${configured}: stop that, or choose another port (without the setting, a free one is taken)`,
    );
  }
  return (await isFree(ip, preferred)) ? preferred : freePort(ip);
}

async function isFree(ip: string, port: number): Promise<boolean> {
  try {
    await listenOnce(ip, port);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return false;
    throw error;
  }
}

/** A port that was free a moment ago. */
export function freePort(ip: string): Promise<number> {
  return listenOnce(ip, 0);
}

async function listenOnce(ip: string, port: number): Promise<number> {
  const server = createServer();
  server.listen(port, ip);
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string')
    throw new Error(`expected a TCP address of ${ip}:${port}, found ${address}`);
  return address.port;
}
