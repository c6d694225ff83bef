import type { IncomingMessage } from 'node:http';
import Router from '@koa/router';
import type { Client } from '@temporalio/client';
import type Koa from 'koa';
import type { Log } from '../../domain/log.ts';
import { answerErrors, createApp } from '../../http/app.ts';
import { Problem, unavailable } from '../../http/problem.ts';
import type { Page } from '../../page/index.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { createAccess } from './access.ts';
import { type AskerDependencies, createWhoAsks } from './asker.ts';
import { addLoginRoutes, type LoginDependencies } from './login-routes.ts';
import { answerProblems } from './problems.ts';
import { securityHeaders } from './security-headers.ts';
import type { ApiDependencies } from './v1/dependencies.ts';
import { apiPrefix, createApi } from './v1/index.ts';

export interface OperatorAppDependencies {
  readonly metrics: Metrics;
  readonly log: Log;
  /** Rejects while Temporal cannot be reached. */
  readonly reachTemporal: () => Promise<void>;
  /** Whether a request names this machine, and not a host that a page in somebody's browser has given its address. */
  readonly isForUs: (request: IncomingMessage) => boolean;
  /** Absent: probes and metrics are all there is. */
  readonly parts?: OperatorParts;
}

/** What people reach here, beside probes and metrics. */
export interface OperatorParts {
  /** What people look at. */
  readonly page: Pick<Page, 'routes'>;
  /** Who may ask, and how they log in. */
  readonly people: AskerDependencies & LoginDependencies;
  readonly api: ApiDependencies;
  /** Of Landfall. */
  readonly version: string;
}

/** What operators and their tools reach: the page at `/`, `/login`, `/api/v1`, `/readyz`, `/metrics`, `/healthz`. */
export function createOperatorApp(dependencies: OperatorAppDependencies): Koa {
  const { log, parts } = dependencies;
  const router = new Router({ sensitive: true, strict: true });
  addProbes(router, dependencies);
  if (parts !== undefined) {
    addLoginRoutes(router, parts.people);
    router.use(parts.page.routes);
  }
  const app = createApp(log);
  app.use(securityHeaders);
  app.use(answerErrors(log));
  app.use(router.routes());
  if (parts !== undefined) addApi(app, parts, dependencies);
  app.use(router.allowedMethods());
  return app;
}

function addProbes(router: Router, { metrics, log, reachTemporal, isForUs }: OperatorAppDependencies): void {
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
    requireOurName(context.req, isForUs);
    await next();
  });
  router.get('/metrics', async (context) => {
    context.body = await metrics.text();
    context.set('Content-Type', metrics.registry.contentType);
  });
}

function addApi(
  app: Koa,
  { people, api, version }: OperatorParts,
  { log, isForUs }: Pick<OperatorAppDependencies, 'log' | 'isForUs'>,
): void {
  const { configuration, sessions } = people;
  const access = createAccess({ whoAsks: createWhoAsks(people), sessions, url: () => configuration().login.url });
  const router = createApi(api, access, version);
  const problems = answerProblems(log);
  const routes = router.routes();
  const methods = router.allowedMethods();
  app.use(async (context, next) => {
    if (context.path !== apiPrefix && !context.path.startsWith(`${apiPrefix}/`)) return await next();
    await problems(context, async () => {
      requireOurName(context.req, isForUs);
      await routes(context as Parameters<typeof routes>[0], () =>
        methods(context as Parameters<typeof methods>[0], async () => undefined),
      );
    });
  });
}

function requireOurName(request: IncomingMessage, isForUs: (request: IncomingMessage) => boolean): void {
  if (!isForUs(request)) throw new Problem(421, 'malformed', misdirected);
}

const misdirected =
  'Operators reach this listener by an address, localhost or a name without a dot. Found another name in Host or Origin: ask by one of ' +
  'these, add the name to listen.operatorNames, or set login.url to where browsers have it.';

/** Load balancers ask often and give up soon. */
const deadlineMs = 2_000;

/** Whether Temporal answers for our namespace. @returns a function that rejects if it does not */
export function createReachTemporal(client: Client): () => Promise<void> {
  const { namespace } = client.options;
  return async () => {
    await client.withDeadline(Date.now() + deadlineMs, () => client.workflowService.describeNamespace({ namespace }));
  };
}
