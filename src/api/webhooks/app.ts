import Router from '@koa/router';
import type Koa from 'koa';
import { answerErrors, createApp } from '../../http/app.ts';
import { createKnownNetworks, type KnownNetworks } from '../../http/shares.ts';
import type { Receiver } from '../../sources/kit/source.ts';
import type { Tracer } from '../../telemetry/tracing/tracer.ts';
import { type GuardLimits, guard } from './guard.ts';
import { type ReceiveDependencies, receive } from './receive.ts';
import { debugRequests, type RecordDependencies, recordRequests } from './record-requests.ts';
import { identify, type RequestContext, type RequestState } from './request.ts';
import { traceRequests } from './trace-requests.ts';

export interface WebhookAppDependencies extends Omit<ReceiveDependencies, 'known'>, RecordDependencies {
  readonly receivers: readonly Receiver[];
  readonly limits: GuardLimits;
  /** The same that the listener keeps connections for. Default: networks of its own. */
  readonly known?: KnownNetworks;
  /** Absent: nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

/** What the world may reach: one path for each receiver, and `/healthz`. */
export function createWebhookApp(dependencies: WebhookAppDependencies): Koa<RequestState> {
  const { receivers, senders, log, limits, known = createKnownNetworks(), tracer } = dependencies;
  const router = new Router<RequestState>({ sensitive: true, strict: true });
  const posts = new Map<string, (context: RequestContext) => Promise<void>>();
  for (const receiver of receivers) {
    const answer = receive(receiver, { ...dependencies, known });
    posts.set(receiver.path, (context) => answer(context));
    router.post(receiver.path, (context) => answer(context));
    if (receiver.secretInPath) router.post(`${receiver.path}/:secret`, (context) => answer(context, context.params.secret));
  }
  const app = createApp<RequestState>(log);
  app.use(identify(receivers, senders));
  if (tracer !== undefined) app.use(traceRequests(tracer));
  app.use(debugRequests(log));
  app.use(recordRequests(dependencies));
  app.use(answerErrors(log));
  app.use(guard(limits, undefined, known));
  // Nearly all requests are for exactly these paths. The router, which costs as much as the rest of a refusal, does what is left: secrets
  // in paths, and what is not found or not allowed.
  app.use((context, next) => (context.method === 'POST' ? posts.get(context.path)?.(context) : undefined) ?? next());
  app.use(router.routes()).use(router.allowedMethods());
  return app;
}
