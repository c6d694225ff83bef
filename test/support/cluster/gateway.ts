import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** The way to an API server on which requests are counted. */
export interface Gateway {
  /** As the cluster's, but through here. */
  readonly kubeconfig: string;
  /** When each request came, in milliseconds, by its verb. */
  readonly seen: readonly { readonly at: number; readonly method: string }[];
  stop(): Promise<void>;
}

interface AdminKubeconfig {
  clusters: { cluster: Record<string, string> }[];
}

/** @param kubeconfig an administrator's, with a token */
export async function startGateway(kubeconfig: string, folder: string): Promise<Gateway> {
  const config = JSON.parse(await readFile(kubeconfig, 'utf8')) as AdminKubeconfig;
  const { server = '', 'certificate-authority-data': authority = '' } = config.clusters[0]?.cluster ?? {};
  const agent = new Agent({ keepAlive: true, ca: Buffer.from(authority, 'base64') });
  const seen: { at: number; method: string }[] = [];
  const forward = async (asked: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = 'GET', headers, url = '' } = asked;
    seen.push({ at: performance.now(), method });
    const forwarded = request(new URL(url, server), { method, headers: { ...headers, host: new URL(server).host }, agent });
    const answered = once(forwarded, 'response');
    await pipeline(asked, forwarded);
    const [answer] = (await answered) as [IncomingMessage];
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    await pipeline(answer, response);
  };
  const listening = createServer((asked, response) => {
    forward(asked, response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(listening, 'listening');
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  const own = join(folder, 'gateway.kubeconfig');
  const clusters = [{ name: 'tests', cluster: { server: `http://127.0.0.1:${address.port}` } }];
  await writeFile(own, JSON.stringify({ ...config, clusters }));
  return {
    kubeconfig: own,
    seen,
    async stop() {
      const closed = once(listening, 'close');
      listening.close();
      listening.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}
