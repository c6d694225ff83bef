import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

export interface ForwardProxy {
  /** `http://ADDRESS:PORT` */
  readonly url: string;
  /** What was asked for, oldest first: `GET http://HOST/PATH` or `CONNECT HOST:PORT`. */
  readonly seen: readonly string[];
  /** The `Proxy-Authorization` of each. */
  readonly authorizations: readonly (string | undefined)[];
  stop(): Promise<void>;
}

/**
 * A forward proxy: passes requests for `http:` addresses on, and tunnels to others.
 * @param resolve where a host of a request really is, as `127.0.0.1:PORT`; undefined: it lets nobody there
 * @param address of this machine, where it listens
 */
export async function startForwardProxy(
  resolve: (host: string) => string | undefined = (host) => host,
  address = '127.0.0.1',
): Promise<ForwardProxy> {
  const seen: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((incoming, outgoing) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    authorizations.push(incoming.headers['proxy-authorization']);
    const { host, pathname, search } = new URL(incoming.url ?? '');
    const target = resolve(host);
    if (target === undefined) return void outgoing.writeHead(407).end();
    const [hostname, port] = target.split(':');
    const { 'proxy-authorization': _, ...headers } = incoming.headers;
    const onward = request({ hostname, port, path: `${pathname}${search}`, method: incoming.method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      pipeline(answer, outgoing, () => undefined);
    });
    onward.on('error', () => outgoing.destroy());
    pipeline(incoming, onward, () => undefined);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('connect', (incoming, client: Socket) => {
    seen.push(`CONNECT ${incoming.url}`);
    authorizations.push(incoming.headers['proxy-authorization']);
    const target = resolve(incoming.url ?? '');
    if (target === undefined) return void client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
    const [hostname = '', port] = target.split(':');
    const onward = connect(Number(port), hostname, () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      pipeline(onward, client, () => undefined);
      pipeline(client, onward, () => undefined);
    });
    onward.on('error', () => client.destroy());
  });
  server.listen(0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://${address}:${port}`,
    seen,
    authorizations,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
