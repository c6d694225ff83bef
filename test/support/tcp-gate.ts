import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { reservePort } from '../../src/platform/ports.ts';

/** A server's address that can be taken away and given back: while it is shut, connections are refused. */
export interface TcpGate {
  /** `ADDRESS:PORT`, the same all the time. */
  readonly host: string;
  shut(): Promise<void>;
  open(): Promise<void>;
}

/** @param target `http://127.0.0.1:PORT` @param address of this machine, where it listens */
export async function startTcpGate(target: string, address = '127.0.0.1'): Promise<TcpGate> {
  const { hostname, port: targetPort } = new URL(target);
  const port = await reservePort();
  const sockets = new Set<Socket>();
  let server: Server | undefined;

  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  };
  const open = async (): Promise<void> => {
    server = createServer((client) => {
      const upstream = connect(Number(targetPort), hostname);
      track(client);
      track(upstream);
      client.pipe(upstream).pipe(client);
      client.on('close', () => upstream.destroy());
      upstream.on('close', () => client.destroy());
    });
    server.listen(port, address);
    await once(server, 'listening');
  };
  await open();
  return {
    host: `${address}:${port}`,
    open,
    async shut() {
      const closing = server;
      server = undefined;
      for (const socket of sockets) socket.destroy();
      if (closing === undefined) return;
      closing.close();
      await once(closing, 'close');
    },
  };
}
