import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface HttpServer {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Every request that came, oldest first. */
  readonly requests: readonly IncomingMessage[];
  stop(): Promise<void>;
}

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A server that answers as told: for what no real server does, such as sending bytes that are not what was asked for. */
export async function startHttpServer(answer: Answer): Promise<HttpServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    // Where what it asks itself is stopped already, so is it.
    void Promise.resolve(answer(request, response)).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  return {
    host: `127.0.0.1:${address.port}`,
    requests,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
