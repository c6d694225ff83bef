import { once } from 'node:events';
import { createServer } from 'node:http';
import { pino } from 'pino';
import { createWebhookApp } from '../../src/api/index.ts';
import type { AcceptPushes } from '../../src/api/webhooks/accept-pushes.ts';
import { createSenders } from '../../src/api/webhooks/senders.ts';
import type { AuditEntry } from '../../src/domain/audit.ts';
import type { Log } from '../../src/domain/log.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

export interface ReceiverIngress {
  readonly url: string;
  readonly audited: readonly AuditEntry[];
  /** Every byte of the log. */
  readonly logged: () => string;
  stop(): Promise<void>;
}

/** The webhooks of a receiver as they are served, but for Temporal. */
export async function serveReceiver(open: (log: Log) => Receiver, acceptPushes: AcceptPushes): Promise<ReceiverIngress> {
  const lines: string[] = [];
  const audited: AuditEntry[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
  const app = createWebhookApp({
    receivers: [open(log)],
    senders: await createSenders({ trustedProxies: [] }),
    acceptPushes,
    acceptCommits: async () => [],
    forwardProgress: async () => ({ ignored: 'nobody is told in this test' }),
    audit: (entry) => void audited.push(entry),
    metrics: createMetrics(),
    log,
    now: () => new Date(),
    limits: { perMinute: 1_000_000, inWork: 1_000 },
  });
  const handle = app.callback();
  const server = createServer((request, response) => void handle(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('expected a TCP address');
  return {
    url: `http://127.0.0.1:${address.port}`,
    audited,
    logged: () => lines.join(''),
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A rollout for each tag of each push. */
export const acceptAll: AcceptPushes = async ({ pushes }) => ({
  rollouts: [],
  resolving: pushes.map(({ repository, tag }) => ({
    id: `resolve:app:${tag}`,
    service: 'app',
    image: `${repository}:${tag}`,
  })),
});
