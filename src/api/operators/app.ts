import type { IncomingMessage } from 'node:http';
import Router from '@koa/router';
import type { Client } from '@temporalio/client';
import type Koa from 'koa';
import type { Log } from '../../domain/log.ts';
import { answerErrors, createApp } from '../../http/app.ts';
import { Problem, unavailable } from '../../http/problem.ts';
import type { Metrics } from '../../telemetry/metrics.ts';

export interface OperatorAppDependencies {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Rejects while Temporal cannot be reached. */
  readonly reachTemporal: () => Promise<void>;
  /** Whether a request names this machine, and not a host that a page in somebody's browser has given its address. */
  readonly isForUs: (request: IncomingMessage) => boolean;
}

/** What operators and their tools reach: `/readyz`, `/metrics`, `/healthz`. */
export function createOperatorApp({ metrics, log, reachTemporal, isForUs }: OperatorAppDependencies): Koa {
  const router = new Router({ sensitive: true, strict: true });
  router.get('/readyz', async (context) => {
    try {
      await reachTemporal();
    } catch (error) {
      log.warn({ reason: error instanceof Error ? error.message : String(error) }, 'not ready: Temporal does not answer');
      throw unavailable('Temporal does not answer. Check its address and whether it runs.');
    }
    context.body = { ready: true };
  });
  // After the probes, which load balancers ask by any name, and which tell nobody anything.
  router.use(async (context, next) => {
    if (!isForUs(context.req)) throw new Problem(421, 'malformed', misdirected);
    await next();
  });
  router.get('/metrics', async (context) => {
    context.body = await metrics.registry.metrics();
    context.set('Content-Type', metrics.registry.contentType);
  });
  const app = createApp(log);
  app.use(answerErrors(log));
  app.use(router.routes()).use(router.allowedMethods());
  return app;
}

const misdirected =
  'Operators reach this listener by an address, localhost or a name without a dot. Found another name in Host or Origin: ask by one of ' +
  'these, or add the name to listen.operatorNames.';

/** Load balancers ask often and give up soon. */
const deadlineMs = 2_000;

/** Whether Temporal answers for our namespace. @returns a function that rejects if it does not */
export function createReachTemporal(client: Client): () => Promise<void> {
  const { namespace } = client.options;
  return async () => {
    await client.withDeadline(Date.now() + deadlineMs, () => client.workflowService.describeNamespace({ namespace }));
  };
}
