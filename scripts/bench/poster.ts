import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Sends requests that are all made beforehand, so that what is measured is who answers them. */
export interface Poster {
  /** @param bytes a whole request, as `requestBytes` makes it. @throws Error where the answer has another status */
  post(port: number, bytes: Buffer, expected: number): Promise<void>;
  stop(): void;
}

/** The bytes of a POST over a connection that stays open. */
export function requestBytes(path: string, { body, headers }: { body: string; headers: Record<string, string> }): Buffer {
  const all = { Host: '127.0.0.1', ...headers, 'Content-Length': String(Buffer.byteLength(body)) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`POST ${path} HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
}

/**
 * Posts over connections that stay open, as a proxy's do. Plain sockets: the generator shares the machine with the server, and Node's own
 * client would cost more for each request than the faster server does.
 */
export function startPoster(): Poster {
  const idle = new Map<number, Set<Socket>>();
  const idleAt = (port: number): Set<Socket> => {
    const sockets = idle.get(port) ?? new Set<Socket>();
    idle.set(port, sockets);
    return sockets;
  };
  const open = async (port: number): Promise<Socket> => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('close', () => idleAt(port).delete(socket));
    await once(socket, 'connect');
    return socket;
  };
  return {
    async post(port, bytes, expected) {
      const [kept] = idleAt(port);
      if (kept !== undefined) idleAt(port).delete(kept);
      const socket = kept ?? (await open(port));
      const status = await answerTo(socket, bytes);
      idleAt(port).add(socket);
      if (status !== expected) throw new Error(`expected the status ${expected}, found ${status}`);
    },
    stop() {
      for (const sockets of idle.values()) for (const socket of sockets) socket.destroy();
    },
  };
}

/** @returns the status, once the whole answer is there */
function answerTo(socket: Socket, bytes: Buffer): Promise<number> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const cut = (error?: unknown) =>
      reject(error instanceof Error ? error : new Error('expected an answer, found the connection closed'));
    const read = (chunk: Buffer): void => {
      answer += chunk.toString('latin1');
      const end = answer.indexOf('\r\n\r\n');
      if (end === -1) return;
      const length = /^content-length: *(\d+)/im.exec(answer)?.[1];
      if (length !== undefined && answer.length < end + 4 + Number(length)) return;
      socket.off('data', read).off('error', cut).off('close', cut);
      if (length === undefined) reject(new Error('expected an answer with a Content-Length'));
      else resolve(Number(answer.slice(9, 12)));
    };
    socket.on('data', read).on('error', cut).on('close', cut);
    socket.write(bytes);
  });
}
