import { STATUS_CODES } from 'node:http';
import type { Context } from 'koa';
import { Problem } from '../http/problem.ts';
import { Ambiguous, InvalidInput, NotFound, OperationError, Refused, Unreachable } from '../operations/errors.ts';
import { doneTexts } from './actions.ts';
import { el, h } from './html.ts';
import { pageText } from './layout.ts';
import type { PageAnswer } from './pages.ts';
import { takeDone } from './request.ts';
import { at, type PageView } from './view.ts';

export function answerPage(context: Context, view: PageView, { status = 200, ...content }: PageAnswer): void {
  const done = takeDone(context, view.base);
  const text = done === undefined ? undefined : doneTexts[done];
  const message = content.message ?? (text === undefined ? undefined : { isProblem: false, text });
  context.status = status;
  context.type = 'text/html; charset=utf-8';
  context.body = pageText(view, { ...content, ...(message && { message }) });
}

/** What could not be read or done, with the way back. @throws what is none of an operation's errors */
export function answerProblem(context: Context, view: PageView, error: unknown): void {
  const status = statusOf(error);
  if (status === undefined || !(error instanceof Error)) throw error;
  const title = STATUS_CODES[status] ?? 'Problem';
  const back = el('p', '', {}, h('a', { href: at(view, view.here), rel: 'nofollow' }, 'Look again'));
  const readAt = new Date(view.now).toISOString();
  const body = [h('h1', null, title), back];
  const message = { isProblem: true, text: error.message };
  answerPage(context, view, { status, title, readAt, readFrom: 'Temporal', body, message });
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof Problem) return error.status;
  if (!(error instanceof OperationError)) return undefined;
  if (error instanceof NotFound) return 404;
  if (error instanceof InvalidInput || error instanceof Ambiguous) return 400;
  if (error instanceof Refused) return 409;
  return error instanceof Unreachable ? 503 : 500;
}
