import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export interface HttpServer {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** Every request that came, oldest first. */
  readonly requests: readonly IncomingMessage[];
  stop(): Promise<void>;
}

/** A server that answers as told: for what no real server does, such as sending bytes that are not what was asked for. */
export async function startHttpServer(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<HttpServer> {
  const requests: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    requests.push(request);
    answer(request, response);
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
