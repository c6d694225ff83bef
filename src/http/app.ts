import Koa, { type Middleware } from 'koa';
import type { Log } from '../domain/log.ts';
import { discardRest } from './body.ts';

/** What all listeners have in common: headers of every answer, `/healthz`, and the end of bodies that nobody has read. */
export function createApp<State>(log: Log): Koa<State> {
  const app = new Koa<State>();
  // Errors that come here have passed every middleware: usually the sender has gone before the answer is written.
  app.on('error', (error: Error) => log.warn({ reason: error.message }, 'an answer could not be sent'));
  app.use(async (context, next) => {
    context.set({ 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' });
    await next();
    discardRest(context.req);
  });
  app.use(healthz);
  return app;
}

/** The process is alive; nothing else is asked. Not recorded: it is asked every few seconds. */
const healthz: Middleware = (context, next) => {
  if (context.path !== '/healthz' || (context.method !== 'GET' && context.method !== 'HEAD')) return next();
  context.body = { alive: true };
  return undefined;
};
