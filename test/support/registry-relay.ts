import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { startHttpServer } from './http-server.ts';
import type { RegistryEndpoint } from './registry.ts';

export interface RegistryRelay {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** How often a path that ends so was asked for. */
  asked(end: string): number;
  stop(): Promise<void>;
}

/** What stands in front of a registry, sees what is asked for, and may answer otherwise. @param change undefined: as the registry says */
export async function startRelay(
  registry: RegistryEndpoint,
  change: (path: string, body: Buffer) => Promise<Buffer | undefined> | Buffer | undefined = () => undefined,
): Promise<RegistryRelay> {
  const server = await startHttpServer(async ({ url = '/', method, headers }, response) => {
    const answer = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      request(`${registry.url}${url}`, { method, headers }, resolve).once('error', reject).end();
    });
    const body = await buffer(answer);
    const changed = (await change(url, body)) ?? body;
    const { 'content-length': _, ...rest } = answer.headers;
    response.writeHead(
      answer.statusCode ?? 500,
      method === 'HEAD' ? answer.headers : { ...rest, 'content-length': changed.length },
    );
    response.end(changed);
  });
  return {
    host: server.host,
    asked: (end) => server.requests.filter(({ url, method }) => method === 'GET' && url?.endsWith(end)).length,
    stop: server.stop,
  };
}
