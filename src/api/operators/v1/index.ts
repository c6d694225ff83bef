import Router from '@koa/router';
import type { Context } from 'koa';
import { refusalOf } from '../../../domain/audit.ts';
import type { OperatorRole } from '../../../domain/person.ts';
import { Problem } from '../../../http/problem.ts';
import { type Access, requireAllowed } from '../access.ts';
import { shownName } from '../asker.ts';
import { problemsPath, problemTypes } from '../problems.ts';
import { read, readJson, readQuery } from './asked.ts';
import { buildRoutes } from './builds.ts';
import type { ApiDependencies } from './dependencies.ts';
import { openApiDocument } from './openapi.ts';
import { recordRoutes } from './record.ts';
import { rolloutRoutes } from './rollouts.ts';
import type { ApiRoute } from './route.ts';
import { serviceRoutes } from './services.ts';

/** Everything that the API does: a list for each room. */
export const apiRoutes: readonly ApiRoute[] = [...serviceRoutes, ...rolloutRoutes, ...buildRoutes, ...recordRoutes];

export const apiPrefix = '/api/v1';

/** The API beneath `/api/v1`, and its OpenAPI document. */
export function createApi(dependencies: ApiDependencies, access: Access, version: string): Router {
  const router = new Router({ prefix: apiPrefix, sensitive: true, strict: true });
  const document = openApiDocument(apiRoutes, version);
  for (const route of apiRoutes) {
    router.register(route.url.replaceAll(/\{(\w+)\}/g, ':$1'), [route.method], (context) =>
      answerRoute(route, context, dependencies, access),
    );
  }
  router.get('/openapi.json', access.requireRole('view'), (context) => {
    context.body = document;
  });
  router.get(`${problemsPath.slice(apiPrefix.length)}:name`, (context) => {
    const { name } = paramsOf(context);
    const known = Object.entries(problemTypes).find(([type]) => type === name);
    if (known === undefined) throw new Problem(404, 'not-found', 'There is no such type of problem.');
    const [, [status, title]] = known;
    context.body = { type: problemsPath + name, title, status, explained: `docs/problems.md#${name}` };
  });
  return router;
}

/** Who asks is looked at before what is asked; which role that takes may depend on what is. */
async function answerRoute(route: ApiRoute, context: Context, dependencies: ApiDependencies, access: Access): Promise<void> {
  const { role } = route;
  let body: unknown;
  try {
    const asker = await access.require(context, 'view', route.forJobs);
    const path = read(route.path, paramsOf(context), 'path');
    const query = readQuery(context.URL.searchParams, route.query);
    body = route.body === undefined ? undefined : await readJson(context, route.body);
    const needed = typeof role === 'function' ? role(body) : role;
    requireAllowed(asker, needed, route.forJobs);
    const isStillAllowed = () => isAllowedNow(context, needed, access);
    const answer = await route.handle({ path, query, body, asker, isStillAllowed, context }, dependencies);
    context.status = 200;
    context.body = answer;
  } catch (error) {
    const isRefusal = error instanceof Problem && noWorkerSaw.includes(error.outcome);
    // Of what jobs may see, also who wanted to.
    if (isRefusal && (route.method !== 'get' || route.forJobs))
      await recordRefusal(error, { context, body }, dependencies, access);
    throw error;
  }
}

/** @returns no as well where it cannot be told */
async function isAllowedNow(context: Context, role: OperatorRole, access: Access): Promise<boolean> {
  const asker = await access.whoAsks(context).catch(() => undefined);
  return asker !== undefined && !('refused' in asker) && asker.roles.includes(role);
}

/** As the router has found them in the path. */
function paramsOf(context: Context): Readonly<Record<string, string>> {
  const { params } = context as Context & { readonly params?: Readonly<Record<string, string>> };
  return params ?? {};
}

/** What a worker refuses, it records itself. */
const noWorkerSaw = ['unauthenticated', 'forbidden', 'foreign-origin'];

async function recordRefusal(
  error: Problem,
  { context, body }: { readonly context: Context; readonly body: unknown },
  { audit }: ApiDependencies,
  access: Access,
): Promise<void> {
  const asker = await access.whoAsks(context);
  const { service, rollout, build } = paramsOf(context);
  const refusal = refusalOf(body, {
    source: 'job' in asker ? 'job' : 'operator',
    outcome: error.outcome === 'unauthenticated' ? 'unauthenticated' : 'refused',
    status: error.status,
    by: 'refused' in asker ? 'somebody' : shownName(asker),
    reason: error.message,
    path: context.path.slice(apiPrefix.length),
    ...{ service, workflow: rollout ?? build },
  });
  audit(refusal);
}
