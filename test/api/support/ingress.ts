import { pino } from 'pino';
import type { AcceptPushes } from '../../../src/api/accept-pushes.ts';
import { createOperatorApp, createWebhookApp } from '../../../src/api/app.ts';
import { type AuditEntry, createAudit } from '../../../src/api/audit.ts';
import type { BodyLimits } from '../../../src/api/body.ts';
import type { Log } from '../../../src/api/errors.ts';
import type { ForwardProgress } from '../../../src/api/forward-progress.ts';
import { type ConnectionLimits, createListeners, type Listeners } from '../../../src/api/listeners.ts';
import { createMetrics } from '../../../src/api/metrics.ts';
import { createReceivers, type ReceiverSettings } from '../../../src/api/receivers/index.ts';
import { parseRepository, type Repository, type Tag } from '../../../src/domain/image-reference.ts';
import type { Plan } from '../../../src/domain/plan.ts';
import { follows, type TagPolicy } from '../../../src/domain/tag-policy.ts';

export const githubSecret = 'canary-github-7f3a9c';
export const oldGithubSecret = 'canary-github-old-51be20';
export const distributionToken = 'canary-token-e2d41b';

export interface IngressOptions {
  readonly acceptPushes?: (log: Log) => AcceptPushes;
  readonly forwardProgress?: (log: Log) => ForwardProgress;
  readonly receivers?: ReceiverSettings;
  readonly reachTemporal?: () => Promise<void>;
  readonly bodyLimits?: BodyLimits;
  readonly limits?: Partial<ConnectionLimits>;
}

/** The ingress as it runs in production, on free loopback ports, with everything that it wrote. */
export interface Ingress {
  readonly port: number;
  readonly url: string;
  readonly operatorsUrl: string;
  readonly listeners: Listeners;
  readonly audited: () => readonly AuditEntry[];
  /** Every byte of the logs and of the audit. */
  readonly written: () => string;
  post(path: string, body: string | Buffer, headers: Record<string, string>): Promise<Response>;
}

/** Without `acceptPushes` and `forwardProgress`, requests are taken and nothing comes of them: for tests of what is before. */
export async function startIngress(options: IngressOptions = {}): Promise<Ingress> {
  const auditLines: string[] = [];
  const logLines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => void logLines.push(line) });
  const metrics = createMetrics();
  const webhooks = createWebhookApp({
    receivers: createReceivers(
      options.receivers ?? {
        github: { secrets: () => [githubSecret, oldGithubSecret] },
        distribution: { tokens: () => [distributionToken] },
      },
    ),
    acceptPushes: options.acceptPushes?.(log) ?? (async () => ({ rollouts: [], resolving: [] })),
    forwardProgress: options.forwardProgress?.(log) ?? (async () => ({ ignored: 'nobody is told in this test' })),
    audit: createAudit({ write: (line: string) => auditLines.push(line) }),
    metrics,
    log,
    now: () => new Date(),
    ...(options.bodyLimits === undefined ? {} : { bodyLimits: options.bodyLimits }),
  });
  const operators = createOperatorApp({ metrics, log, reachTemporal: options.reachTemporal ?? (async () => {}) });
  const settings = [
    { name: 'listen.webhooks', handler: webhooks.callback(), host: '127.0.0.1', port: 0 },
    { name: 'listen.operators', handler: operators.callback(), host: '127.0.0.1', port: 0 },
  ];
  const listeners = createListeners(settings, log, options.limits);
  const [first, second] = await listeners.start();
  if (first === undefined || second === undefined) throw new Error('expected two listeners');
  const url = `http://127.0.0.1:${first.port}`;
  return {
    port: first.port,
    url,
    operatorsUrl: `http://127.0.0.1:${second.port}`,
    listeners,
    audited: () => auditLines.map((line) => JSON.parse(line) as AuditEntry),
    written: () => [...auditLines, ...logLines].join(''),
    post: (path, body, headers) => fetch(`${url}${path}`, { method: 'POST', body, headers }),
  };
}

export function planOf(service: string, repository: string, tags: TagPolicy): Plan {
  return {
    service,
    repository: parseRepository(repository),
    tags,
    platforms: [],
    stages: [{ name: 'production', merge: 'off' }],
    decideWithinMs: 86_400_000,
  };
}

export function exactly(...tags: string[]): TagPolicy {
  return { kind: 'exact', tags: tags as Tag[] };
}

/** The two questions that the configuration answers, over a fixed list of plans. */
export function findersOf(plans: readonly Plan[]): {
  plansFor: (repository: Repository, tag: Tag) => readonly Plan[];
  plansOfRepository: (repository: Repository) => readonly Plan[];
} {
  const plansOfRepository = (repository: Repository): readonly Plan[] => plans.filter((plan) => plan.repository === repository);
  return {
    plansOfRepository,
    plansFor: (repository, tag) => plansOfRepository(repository).filter((plan) => follows(plan.tags, tag)),
  };
}
