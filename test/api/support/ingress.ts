import { pino } from 'pino';
import { createOperatorApp, createWebhookApp } from '../../../src/api/index.ts';
import type { AcceptPushes } from '../../../src/api/webhooks/accept-pushes.ts';
import type { ForwardProgress } from '../../../src/api/webhooks/forward-progress.ts';
import type { GuardLimits } from '../../../src/api/webhooks/guard.ts';
import { createSenders } from '../../../src/api/webhooks/senders.ts';
import type { RequestLine } from '../../../src/domain/audit.ts';
import type { Environment } from '../../../src/domain/environment.ts';
import { parseRepository, type Repository, type Tag } from '../../../src/domain/image-reference.ts';
import type { Log } from '../../../src/domain/log.ts';
import type { Plan } from '../../../src/domain/plan.ts';
import { follows, type TagPolicy } from '../../../src/domain/tag-policy.ts';
import type { BodyLimits } from '../../../src/http/body.ts';
import { createClientTrust } from '../../../src/http/client-trust.ts';
import { type ConnectionLimits, createListeners, type Listeners } from '../../../src/http/listeners.ts';
import { createKnownNetworks } from '../../../src/http/shares.ts';
import type { TlsSettings } from '../../../src/http/tls.ts';
import { createIsForUs } from '../../../src/platform/http/own-name.ts';
import { createIsWithin } from '../../../src/settings/networks.ts';
import { createSecretResolver } from '../../../src/settings/secrets.ts';
import { type ReceiverSettings, sources } from '../../../src/sources/index.ts';
import { createReceivers, type Receiver } from '../../../src/sources/kit/source.ts';
import { createAudit } from '../../../src/telemetry/audit.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import type { Tracer } from '../../../src/telemetry/tracing/tracer.ts';

export const githubSecret = 'canary-github-7f3a9c';
export const oldGithubSecret = 'canary-github-old-51be20';
export const distributionToken = 'canary-token-e2d41b';

/** What the references of the tests stand for. */
export const testSecrets: Record<string, string> = {
  GITHUB_SECRET: githubSecret,
  GITHUB_SECRET_OLD: oldGithubSecret,
  DISTRIBUTION_TOKEN: distributionToken,
};

const twoReceivers: ReceiverSettings = {
  github: { secrets: ['env:GITHUB_SECRET', 'env:GITHUB_SECRET_OLD?'] },
  distribution: { token: ['env:DISTRIBUTION_TOKEN'] },
};

export interface IngressOptions {
  readonly acceptPushes?: (log: Log) => AcceptPushes;
  readonly forwardProgress?: (log: Log) => ForwardProgress;
  readonly receivers?: ReceiverSettings;
  /** What references of the receivers stand for; read at each request. Default: `testSecrets`. */
  readonly env?: Environment;
  readonly trustedProxies?: readonly string[];
  readonly reachTemporal?: () => Promise<void>;
  readonly bodyLimits?: BodyLimits;
  /** Of connections as in production; requests are not limited unless it is said. */
  readonly limits?: Partial<ConnectionLimits & GuardLimits>;
  /** Absent: plain HTTP. */
  readonly tls?: Pick<TlsSettings, 'files' | 'lookEveryMs'>;
  readonly tracer?: Tracer;
  /** Receivers of the test's own, beside those of the settings. */
  readonly ownReceivers?: readonly Receiver[];
}

/** The ingress as it runs in production, on free loopback ports, with everything that it wrote. */
export interface Ingress {
  readonly port: number;
  readonly url: string;
  readonly operatorsUrl: string;
  readonly listeners: Listeners;
  readonly audited: () => readonly RequestLine[];
  /** Every byte of the logs and of the audit. */
  readonly written: () => string;
  post(path: string, body: string | Buffer, headers: Record<string, string>): Promise<Response>;
}

/** Without `acceptPushes` and `forwardProgress`, requests are taken and nothing comes of them: for tests of what is before. */
export async function startIngress(options: IngressOptions = {}): Promise<Ingress> {
  const auditLines: string[] = [];
  const logLines: string[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void logLines.push(line) });
  const metrics = createMetrics();
  const context = { secrets: createSecretResolver(options.env ?? testSecrets, process.cwd()), directory: process.cwd(), log };
  const receivers = [...createReceivers(sources, options.receivers ?? twoReceivers, context), ...(options.ownReceivers ?? [])];
  const trust = createClientTrust(receivers, log);
  const known = createKnownNetworks();
  const webhooks = createWebhookApp({
    receivers,
    known,
    senders: await createSenders({ trustedProxies: options.trustedProxies ?? [], trust }),
    limits: { perMinute: 1_000_000, inWork: 1_000, ...options.limits },
    acceptPushes: options.acceptPushes?.(log) ?? (async () => ({ rollouts: [], resolving: [] })),
    acceptCommits: async () => [],
    forwardProgress: options.forwardProgress?.(log) ?? (async () => ({ ignored: 'nobody is told in this test' })),
    audit: createAudit({ write: (line: string) => auditLines.push(line) }),
    metrics,
    log,
    now: () => new Date(),
    tracer: options.tracer,
    ...(options.bodyLimits === undefined ? {} : { bodyLimits: options.bodyLimits }),
  });
  const operators = createOperatorApp({
    metrics,
    log,
    reachTemporal: options.reachTemporal ?? (async () => {}),
    isForUs: createIsForUs('network'),
  });
  const tls = options.tls && { ...options.tls, ...(trust && { trust }) };
  const settings = [
    {
      ...{ name: 'listen.webhooks', handler: webhooks.callback(), host: '127.0.0.1', port: 0 },
      ...{ isProxy: createIsWithin(options.trustedProxies ?? []), known, ...(tls && { tls }) },
    },
    { name: 'listen.operators', handler: operators.callback(), host: '127.0.0.1', port: 0 },
  ];
  const listeners = createListeners(settings, log, options.limits);
  const [first, second] = await listeners.start();
  if (first === undefined || second === undefined) throw new Error('expected two listeners');
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${first.port}`;
  return {
    port: first.port,
    url,
    operatorsUrl: `http://127.0.0.1:${second.port}`,
    listeners,
    audited: () => auditLines.map((line) => JSON.parse(line) as RequestLine),
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
    checks: [],
    stages: [{ name: 'production', rollback: 'off' }],
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
