import Router from '@koa/router';
import Koa, { type Middleware } from 'koa';
import type { Audit } from '../domain/audit.ts';
import { type BodyLimits, discardRest } from '../http/body.ts';
import { answerErrors, type Log } from '../http/errors.ts';
import { Problem } from '../http/problem.ts';
import type { Receiver } from '../sources/kit/receiver.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { AcceptPushes } from './webhooks/accept-pushes.ts';
import { debugRequests } from './webhooks/debug-requests.ts';
import type { ForwardProgress } from './webhooks/forward-progress.ts';
import { type GuardLimits, guard } from './webhooks/guard.ts';
import { receive } from './webhooks/receive.ts';
import { recordRequests } from './webhooks/record-requests.ts';
import type { RequestContext, RequestState } from './webhooks/request-state.ts';
import type { Senders } from './webhooks/senders.ts';

export interface WebhookAppDependencies {
  readonly receivers: readonly Receiver[];
  readonly acceptPushes: AcceptPushes;
  readonly forwardProgress: ForwardProgress;
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly senders: Senders;
  readonly now: () => Date;
  readonly limits?: GuardLimits;
  readonly bodyLimits?: BodyLimits;
}

/** Payloads of registries are a few KiB; GitHub's longest are some 100. */
const defaultBodyLimits: BodyLimits = { bytes: 1024 * 1024, timeoutMs: 10_000 };

const defaultLimits: GuardLimits = { perMinute: 1_200, inWork: 128 };

/** What the world may reach: one path for each receiver, and `/healthz`. */
export function createWebhookApp(dependencies: WebhookAppDependencies): Koa<RequestState> {
  const { receivers, log, bodyLimits = defaultBodyLimits, limits = defaultLimits } = dependencies;
  const router = new Router<RequestState>({ sensitive: true, strict: true });
  const posts = new Map<string, (context: RequestContext) => Promise<void>>();
  for (const receiver of receivers) {
    const answer = receive(receiver, { ...dependencies, bodyLimits });
    posts.set(receiver.path, (context) => answer(context));
    router.post(receiver.path, (context) => answer(context));
    if (receiver.secretInPath) router.post(`${receiver.path}/:secret`, (context) => answer(context, context.params.secret));
  }
  const app = createApp(log);
  app.use(healthz);
  app.use(debugRequests(dependencies));
  app.use(recordRequests(dependencies));
  app.use(answerErrors(log));
  app.use(guard({ receivers, senders: dependencies.senders, limits }));
  // Nearly all requests are for just these. The router, which costs as much as all else of a refusal, has the rest: secrets in paths,
  // and what is not found or not allowed.
  app.use((context, next) => (context.method === 'POST' ? posts.get(context.path)?.(context) : undefined) ?? next());
  app.use(router.routes()).use(router.allowedMethods());
  return app;
}

export interface OperatorAppDependencies {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Rejects while Temporal cannot be reached. */
  readonly reachTemporal: () => Promise<void>;
}

/** What operators and their tools reach. */
export function createOperatorApp({ metrics, log, reachTemporal }: OperatorAppDependencies): Koa<RequestState> {
  const router = new Router<RequestState>({ sensitive: true, strict: true });
  router.get('/readyz', async (context) => {
    try {
      await reachTemporal();
    } catch (error) {
      log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'not ready: Temporal does not answer');
      throw new Problem(503, 'unavailable', 'Temporal does not answer. Check its address and whether it runs.', {
        'Retry-After': '5',
      });
    }
    context.body = { ready: true };
  });
  router.get('/metrics', async (context) => {
    context.body = await metrics.registry.metrics();
    context.set('Content-Type', metrics.registry.contentType);
  });
  const app = createApp(log);
  app.use(healthz);
  app.use(answerErrors(log));
  app.use(router.routes()).use(router.allowedMethods());
  return app;
}

function createApp(log: Log): Koa<RequestState> {
  const app = new Koa<RequestState>();
  // What comes here is past every middleware: mostly a sender who is gone before the answer is written.
  app.on('error', (error: Error) => log.warn({ reason: error.message }, 'an answer could not be sent'));
  app.use(async (context, next) => {
    context.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    await next();
    discardRest(context.req);
  });
  return app;
}

/** The process is alive; nothing else is asked. Not recorded: it is asked every few seconds. */
const healthz: Middleware<RequestState> = (context, next) => {
  if (context.path !== '/healthz' || (context.method !== 'GET' && context.method !== 'HEAD')) return next();
  context.body = { alive: true };
  return undefined;
};
