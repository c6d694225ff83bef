import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import Docker from 'dockerode';

export interface DockerProxy {
  /** A client whose requests go through the proxy. */
  readonly docker: Docker;
  /** First lines of the requests so far: `GET /events?… HTTP/1.1`. */
  readonly requests: readonly string[];
  /** Cuts every connection over which a request with this in its first line went last. @returns how many */
  cut(part: string): number;
  /** Takes no new connection any more, as a daemon that shuts down; those that it has go on. */
  goDown(): void;
  stop(): Promise<void>;
}

/**
 * Stands between a client and the real Docker daemon.
 * @param before is awaited before a request is passed on
 */
export async function startDockerProxy(
  real: Docker,
  before: (requestLine: string) => Promise<void> = async () => {},
): Promise<DockerProxy> {
  const requests: string[] = [];
  const connections = new Map<Socket, string>();
  const server = createServer((client) => {
    connections.set(client, '');
    const daemon = openDaemon(real);
    const pass = async (bytes: Buffer): Promise<void> => {
      const [line = ''] = bytes.toString('latin1').split('\r\n', 1);
      client.pause();
      if (line.endsWith('HTTP/1.1')) {
        connections.set(client, line);
        requests.push(line);
        await before(line);
      }
      daemon.write(bytes);
      client.resume();
    };
    client.on('data', (bytes) => void pass(bytes));
    daemon.pipe(client);
    for (const [one, other] of [
      [client, daemon],
      [daemon, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
    client.on('close', () => connections.delete(client));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  return {
    docker: new Docker({ host: '127.0.0.1', port: address.port, protocol: 'http', socketPath: undefined }),
    requests,
    cut(part) {
      const found = [...connections].filter(([, line]) => line.includes(part));
      for (const [client] of found) client.destroy();
      return found.length;
    },
    goDown: () => void server.close(),
    async stop() {
      for (const client of connections.keys()) client.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Where the real client connects to. */
function openDaemon(real: Docker): Socket {
  const target: unknown = real.modem;
  const { socketPath, host, port } = target as { socketPath?: string; host?: string; port?: number };
  return socketPath === undefined ? connect({ host: host ?? '', port: port ?? 0 }) : connect(socketPath);
}
