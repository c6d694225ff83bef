import { Agent, request } from 'node:https';
import { text } from 'node:stream/consumers';

export interface ClusterApi {
  /** @returns its answer, or undefined where it does not answer, or not yet with success */
  read<Answer>(path: string): Promise<Answer | undefined>;
  /** @throws Error with what it answered, if that is no success */
  create<Answer>(path: string, body: unknown): Promise<Answer>;
}

/** The few requests of a cluster's own start. Each has a connection of its own, as its server may have been started anew. */
export function connectApi(options: { readonly host: string; readonly ca: string; readonly token: string }): ClusterApi {
  const agent = new Agent({ keepAlive: false, ca: options.ca });
  const ask = (method: string, path: string, body?: unknown): Promise<{ status: number; answer: string }> =>
    new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' };
      const asked = request({ host: options.host, port: 443, agent, method, path, headers, timeout: 5_000 }, (response) => {
        text(response).then((answer) => resolve({ status: response.statusCode ?? 0, answer }), reject);
      });
      asked.on('timeout', () => asked.destroy(new Error('it did not answer within 5 s')));
      asked.on('error', reject);
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  const parsed = (answer: string) => (answer.startsWith('{') ? JSON.parse(answer) : answer);
  return {
    async read(path) {
      const { status, answer } = await ask('GET', path).catch(() => ({ status: 0, answer: '' }));
      return status === 200 ? parsed(answer) : undefined;
    },
    async create(path, body) {
      const { status, answer } = await ask('POST', path, body);
      if (status !== 201) throw new Error(`expected 201 from POST ${path}, found ${status}: ${answer}`);
      return parsed(answer);
    },
  };
}
