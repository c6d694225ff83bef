import Router from '@koa/router';
import type Koa from 'koa';
import type { Audit } from '../../domain/audit.ts';
import type { Log } from '../../domain/log.ts';
import { createApp } from '../../http/app.ts';
import type { BodyLimits } from '../../http/body.ts';
import { answerErrors } from '../../http/errors.ts';
import type { Receiver } from '../../sources/kit/receiver.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { AcceptPushes } from './accept-pushes.ts';
import { debugRequests } from './debug-requests.ts';
import type { ForwardProgress } from './forward-progress.ts';
import { type GuardLimits, guard } from './guard.ts';
import { receive } from './receive.ts';
import { recordRequests } from './record-requests.ts';
import { identify, type RequestContext, type RequestState } from './request.ts';
import type { Senders } from './senders.ts';

export interface WebhookAppDependencies {
  readonly receivers: readonly Receiver[];
  readonly acceptPushes: AcceptPushes;
  readonly forwardProgress: ForwardProgress;
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly senders: Senders;
  readonly now: () => Date;
  readonly limits: GuardLimits;
  readonly bodyLimits?: BodyLimits;
}

/** Payloads of registries are a few KiB; GitHub's longest are some 100. */
const defaultBodyLimits: BodyLimits = { bytes: 1024 * 1024, timeoutMs: 10_000 };

/** What the world may reach: one path for each receiver, and `/healthz`. */
export function createWebhookApp(dependencies: WebhookAppDependencies): Koa<RequestState> {
  const { receivers, senders, log, bodyLimits = defaultBodyLimits, limits } = dependencies;
  const router = new Router<RequestState>({ sensitive: true, strict: true });
  const posts = new Map<string, (context: RequestContext) => Promise<void>>();
  for (const receiver of receivers) {
    const answer = receive(receiver, { ...dependencies, bodyLimits });
    posts.set(receiver.path, (context) => answer(context));
    router.post(receiver.path, (context) => answer(context));
    if (receiver.secretInPath) router.post(`${receiver.path}/:secret`, (context) => answer(context, context.params.secret));
  }
  const app = createApp<RequestState>(log);
  app.use(identify(receivers, senders));
  app.use(debugRequests(log));
  app.use(recordRequests(dependencies));
  app.use(answerErrors(log));
  app.use(guard(limits));
  // Nearly all requests are for exactly these paths. The router, which costs as much as the rest of a refusal, does what is left: secrets
  // in paths, and what is not found or not allowed.
  app.use((context, next) => (context.method === 'POST' ? posts.get(context.path)?.(context) : undefined) ?? next());
  app.use(router.routes()).use(router.allowedMethods());
  return app;
}
