import { Agent, request } from 'node:http';

/** How fast something went that was done many times, several at once. */
export interface Pace {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Does something `count` times, `atOnce` of them at any time. Whatever fails ends it. */
export async function paceOf(count: number, atOnce: number, act: (index: number) => Promise<void>): Promise<Pace> {
  const times: number[] = [];
  let next = 0;
  const begun = performance.now();
  const lane = async (): Promise<void> => {
    while (next < count) {
      const index = next;
      next += 1;
      const from = performance.now();
      await act(index);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  const seconds = (performance.now() - begun) / 1_000;
  times.sort((a, b) => a - b);
  return { perSecond: count / seconds, p50Ms: percentile(times, 0.5), p99Ms: percentile(times, 0.99) };
}

/** @param sorted in rising order; at least one */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export interface Poster {
  /** @throws Error where the answer has another status */
  post(port: number, path: string, sent: { body: string; headers: Record<string, string> }, expected: number): Promise<void>;
  stop(): void;
}

/** Posts over connections that stay open, as a proxy's do. */
export function startPoster(connections: number): Poster {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  return {
    post: (port, path, { body, headers }, expected) =>
      new Promise((resolve, reject) => {
        const length = { 'Content-Length': Buffer.byteLength(body) };
        const sent = request({ agent, host: '127.0.0.1', port, path, method: 'POST', headers: { ...headers, ...length } });
        sent.on('error', reject).on('response', (answer) => {
          answer.resume().on('error', reject);
          answer.on('end', () => {
            if (answer.statusCode === expected) resolve();
            else reject(new Error(`expected the status ${expected}, found ${answer.statusCode}`));
          });
        });
        sent.end(body);
      }),
    stop: () => agent.destroy(),
  };
}
