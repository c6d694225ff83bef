import type { Context, Middleware } from 'koa';
import type { Log } from '../domain/log.ts';
import { Problem, problemMediaType } from './problem.ts';

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
      answer(ctx, error instanceof Problem ? error : defect(error, log));
    }
  };
}

/** What the router left without a body: paths and methods that do not exist. It has set `Allow` already. */
function unanswered(ctx: Context): Problem | undefined {
  if (ctx.body !== undefined && ctx.body !== null && ctx.body !== '') return undefined;
  if (ctx.status === 404) {
    return new Problem(
      404,
      'not-found',
      'There is nothing at this path. Check the URL against the documentation of the webhooks.',
    );
  }
  // 501 is the router's word for a method that it has no route for anywhere; to the sender it is just not allowed here.
  if (ctx.status === 405 || ctx.status === 501) {
    const detail = 'This path does not take this method. The header Allow names those that it takes.';
    return new Problem(405, 'method-not-allowed', detail);
  }
  return undefined;
}

function defect(error: unknown, log: Log): Problem {
  log.error({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }, 'a request failed unexpectedly');
  return new Problem(500, 'failed', 'Something went wrong here; the log of the server says what. Send the request again later.');
}

function answer(ctx: Context, problem: Problem): void {
  ctx.status = problem.status;
  ctx.set(problem.headers);
  // Before the body, for which Koa would guess another one.
  ctx.set('Content-Type', problemMediaType);
  ctx.body = problem.body;
  ctx.state.outcome = problem.outcome;
  ctx.state.reason ??= problem.message;
}
