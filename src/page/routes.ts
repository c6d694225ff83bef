import Router from '@koa/router';
import type { Context } from 'koa';
import { type Audit, refusalOf } from '../domain/audit.ts';
import { nameOfPerson, roleFor } from '../domain/person.ts';
import { Problem } from '../http/problem.ts';
import type { Actor } from '../operations/inputs.ts';
import { rolloutPrefix } from '../operations/inputs.ts';
import { decideAll, decideLane, decideRollout } from './actions.ts';
import { answerPage, answerProblem } from './answer.ts';
import { sendAsset } from './asset-answer.ts';
import type { PageDependencies } from './dependencies.ts';
import { may } from './forms.ts';
import { createLive, type Live } from './live.ts';
import { createPages, type PageAnswer } from './pages.ts';
import { createReadings, type PageReadings } from './readings.ts';
import { type FormFields, keepDone, keepTheme, readForm, requireOwnPage, wayBack } from './request.ts';
import { type PageView, paths, themes } from './view.ts';
import { seeOther, sendToLogin, showLogin, viewOf } from './visit.ts';

type PathValues = Readonly<Record<string, string | undefined>>;
/** @returns what was done, as a verb */
type ButtonHandler = (fields: FormFields, actor: Actor, params: PathValues) => Promise<string>;

export type Page = ReturnType<typeof createPage>;

/** The page for operators. Everything that is read and done is an operation, the same as of command and API. */
export function createPage(dependencies: PageDependencies) {
  const { client, configured, explainTag, log, baseOf } = dependencies;
  const readings = createReadings(client, configured, explainTag);
  const live = createLive({ look: readings.topic, log });
  const router = new Router({ sensitive: true, strict: true });
  addPages(router, dependencies, createPages(dependencies, readings));
  addButtons(router, dependencies, readings);
  addLive(router, dependencies, live);
  router.post('/theme', async (context) => {
    requireOwnPage(context.req, dependencies);
    const base = baseOf(context.req);
    const { theme, from } = await readForm(context);
    keepTheme(context, base, themes.find((known) => known === theme) ?? 'auto');
    seeOther(context, base + wayBack(from, paths.now()));
  });
  router.get('/login', (context) => showLogin(context, dependencies));
  router.get('/assets/:name', (context) => sendAsset(context, String(context.params.name)));
  return { routes: router.routes(), stop: live.stop, streams: live.streams };
}

function addPages(router: Router, dependencies: PageDependencies, pages: ReturnType<typeof createPages>): void {
  /** What the page shows, or why it cannot, as a page too. */
  const show = (path: string, make: (view: PageView, context: Context) => Promise<PageAnswer>): void => {
    router.get(path, async (context) => {
      const view = await viewOf(context, dependencies);
      if (view === undefined) return sendToLogin(context, dependencies);
      try {
        answerPage(context, view, await make(view, context));
      } catch (error) {
        answerProblem(context, view, error);
      }
    });
  };
  show('/', pages.now);
  show('/rollouts', (view, { query }) => pages.rollouts(view, query));
  show('/rollouts/:rollout', (view, { params }) => pages.rollout(view, idIn(params)));
  show('/services/:service', (view, { params, query, req }) => pages.service(view, String(params.service), query, req));
  show('/record', (view, { query }) => pages.record(view, query));
}

function addButtons(router: Router, dependencies: PageDependencies, readings: PageReadings): void {
  const { client, configuration, baseOf, audit } = dependencies;
  /** What it could not do is said on a page, and what it did on the next one. */
  const change = (path: string, after: (params: PathValues) => string, act: ButtonHandler): void => {
    router.post(path, async (context) => {
      const view = await viewOf(context, dependencies);
      const request = { context, view, audit };
      recordingRefusals(request, {}, () => requireOwnPage(context.req, dependencies));
      if (view === undefined) return sendToLogin(context, dependencies);
      const fields = await readForm(context);
      const back = wayBack(fields.from, paths.now());
      try {
        recordingRefusals(request, fields, () => requireRole(view, fields));
        const verb = await act(fields, view.viewer.actor, context.params);
        readings.forget();
        keepDone(context, view.base, verb);
        seeOther(context, view.base + back);
      } catch (error) {
        answerProblem(context, { ...view, here: back }, error);
      }
    });
    // Whoever loads the answer of a button again.
    router.get(path, (context) => seeOther(context, baseOf(context.req) + after(context.params)));
  };
  const ofRollout = (params: PathValues) => paths.rollout(idIn(params));
  change('/rollouts/:rollout/decide', ofRollout, (fields, actor, params) => decideRollout(client, idIn(params), fields, actor));
  const ofService = ({ service = '' }: PathValues) => paths.service(service);
  change('/services/:service/decide', ofService, (fields, actor, { service = '' }) =>
    decideLane({ client, configuration }, service, fields, actor),
  );
  change('/hold', paths.now, (fields, actor) => decideAll(client, fields, actor));
}

/** Whoever lacks the role saw no button: they made the request themselves. @throws Problem 403 */
function requireRole(view: PageView, { verb }: FormFields): void {
  const role = roleFor(verb ?? '');
  if (may(view, role)) return;
  throw new Problem(403, 'forbidden', `This takes the role ${role}. Ask somebody who has it.`);
}

interface ButtonRequest {
  readonly context: Context;
  /** Nobody is recorded who has not said who they are: they are sent to the login. */
  readonly view: PageView | undefined;
  readonly audit: Audit;
}

/** No worker sees what is refused here, which would record it. */
function recordingRefusals({ context, view, audit }: ButtonRequest, fields: FormFields, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (view !== undefined && error instanceof Problem) {
      const { actor, name } = view.viewer;
      const { login } = actor;
      const { service, rollout }: PathValues = context.params;
      const refusal = refusalOf(fields, {
        ...{ source: 'operator', outcome: 'refused', status: error.status, reason: error.message, path: context.path },
        by: nameOfPerson({ by: actor.name, verified: name !== undefined, ...(login !== undefined && { login }) }),
        ...{ service, workflow: rollout },
      });
      audit(refusal);
    }
    throw error;
  }
}

function addLive(router: Router, { viewerOf, mayLookNow }: PageDependencies, live: Live): void {
  router.get('/live', async (context) => {
    if ('refused' in (await viewerOf(context))) throw new Problem(401, 'unauthenticated', 'Log in first.');
    const topic = topicOf(context);
    if (topic === undefined) throw new Problem(400, 'malformed', 'Expected of=all, or the id of a rollout.');
    // A stream without a body would never end.
    if (context.method === 'HEAD') {
      context.set('Content-Type', 'text/event-stream');
      context.status = 200;
      return;
    }
    context.req.setTimeout(0);
    if (!live.join(topic, context.res, () => mayLookNow(context.req)))
      throw new Problem(503, 'unavailable', 'Too many pages are open, or Landfall ends: it is asked again.');
    context.respond = false;
  });
}

/** As commands take it, with or without `rollout:`. */
function idIn(params: PathValues): string {
  const parsed = rolloutPrefix.safeParse(params.rollout);
  if (!parsed.success) throw new Problem(404, 'not-found', 'There is no such rollout.');
  return parsed.data;
}

function topicOf({ query }: Context): string | undefined {
  const topic = query.of;
  if (topic === 'all') return topic;
  return typeof topic === 'string' && topic.length <= 400 && rolloutPrefix.safeParse(topic).success ? topic : undefined;
}
