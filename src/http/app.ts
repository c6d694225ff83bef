import Koa, { type Context, type Middleware } from 'koa';
import type { Log } from '../domain/log.ts';
import { discardRest } from './body.ts';
import { commonHeaders, Problem } from './problem.ts';

/** What all listeners have in common: headers of every answer, `/healthz`, and the end of bodies that nobody has read. */
export function createApp<State>(log: Log): Koa<State> {
  const app = new Koa<State>();
  // Errors that come here have passed every middleware: usually the sender has gone before the answer is written.
  app.on('error', (error: Error) => log.warn({ reason: error.message }, 'an answer could not be sent'));
  app.use(async (context, next) => {
    await next();
    const kept = context.response.get('Cache-Control');
    if (!context.headerSent) context.set({ ...commonHeaders, ...(kept && { 'Cache-Control': kept }) });
    discardRest(context.req);
  });
  // The process is alive; nothing else is asked. Not recorded: it is asked every few seconds.
  app.use((context, next) => {
    if (context.path !== '/healthz' || (context.method !== 'GET' && context.method !== 'HEAD')) return next();
    context.body = { alive: true };
    return undefined;
  });
  return app;
}

/**
 * The one place where every error of a request ends. A `Problem` is shown to the sender; anything else is a defect of ours: it is
 * logged whole and answered with a 500 that tells nothing about us.
 */
export function answerErrors(log: Log): Middleware {
  return async (ctx, next) => {
    try {
      await next();
      const problem = unanswered(ctx);
      if (problem !== undefined) answer(ctx, problem);
    } catch (error) {
      if (error instanceof Problem) return answer(ctx, error);
      const whole = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.error({ error: whole }, 'a request failed unexpectedly');
      const detail = 'Something went wrong here; the log of the server says what. Send the request again later.';
      answer(ctx, new Problem(500, 'failed', detail));
    }
  };
}

/** What the router left without a body: paths and methods that do not exist. It has set `Allow` already. */
export function unanswered(ctx: Context): Problem | undefined {
  if (ctx.respond === false || (ctx.body ?? '') !== '') return undefined;
  if (ctx.status === 404) {
    const detail = 'There is nothing at this path. Check the URL against the documentation of the webhooks.';
    return new Problem(404, 'not-found', detail);
  }
  // 501 is the router's word for a method that it has no route for anywhere; to the sender it is just not allowed here.
  if (ctx.status === 405 || ctx.status === 501) {
    const detail = 'This path does not take this method. The header Allow names those that it takes.';
    return new Problem(405, 'method-not-allowed', detail);
  }
  return undefined;
}

/**
 * Past Koa, which would take as long for its answer as everything else takes: of refusals there may be thousands in a second. Of these,
 * what is decided in one place calls this: to throw through all that stands around costs as much again.
 */
export function answer(ctx: Context, problem: Problem): void {
  ctx.respond = false;
  // Beside what router and listener have set.
  ctx.res.writeHead(problem.status, [...problem.rawHeaders]).end(problem.body);
  ctx.state.outcome = problem.outcome;
  ctx.state.reason ??= problem.message;
}
