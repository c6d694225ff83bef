import { PassThrough } from 'node:stream';
import { z } from 'zod';
import type { AuditLine } from '../../../domain/audit.ts';
import { withoutIdleLimit } from '../../../http/idle.ts';
import { Problem } from '../../../http/problem.ts';
import { auditQuery, figuresInput, NotFound, readAudit, readFigures } from '../../../operations/index.ts';
import * as answers from './answers.ts';
import type { FeedEvent } from './event-feed.ts';
import { type ApiRoute, defineRoute } from './route.ts';

const audit = defineRoute({
  ...{ id: 'readAudit', method: 'get', url: '/audit', tag: 'Record', role: 'view' },
  summary: 'The newest entries of the audit log, newest first',
  query: auditQuery.extend({ limit: z.int().min(1).max(1_000).default(100) }),
  answer: answers.auditEntries,
  async handle({ query: { limit, ...query }, context }, { configuration }) {
    const entries: AuditLine[] = [];
    const take = (line: AuditLine): void => {
      entries.push(line);
      if (entries.length >= limit * 2) entries.splice(0, entries.length - limit);
    };
    try {
      // Files of some gigabytes take longer than a connection may be silent.
      const { read, skipped } = await withoutIdleLimit(context.req, () => readAudit(configuration(), query, take));
      return { entries: entries.slice(-limit).reverse(), read, skipped };
    } catch (error) {
      // An empty record is no error.
      if (error instanceof NotFound) return { entries: [], read: 0, skipped: 0 };
      throw error;
    }
  },
});

const figures = defineRoute({
  ...{ id: 'readFigures', method: 'get', url: '/figures', tag: 'Record', role: 'view' },
  summary: 'How well it went: times to proposal and to healthy, share that ended well, share that needed a person',
  query: figuresInput.extend({ days: z.int().min(1).max(365).default(30).describe('Over how many days until now.') }),
  answer: answers.figures,
  handle: ({ query }, { client }) => readFigures(client, query),
});

const me = defineRoute({
  ...{ id: 'whoAmI', method: 'get', url: '/me', tag: 'Record', role: 'view' },
  summary: 'Who asks, how that is known, and what they may do',
  answer: answers.whoAsks,
  handle: ({ asker: { name, way, roles } }) => ({ name, way, roles }),
});

/** Proxies and this listener itself end what is silent for longer. */
const beatMs = 15_000;
/** Whoever does not read is not waited for. */
const mostWaitingBytes = 1024 * 1024;
const eventId = /^\d{1,15}(?:\.\d{1,3})?$/;

const events = defineRoute({
  ...{ id: 'events', method: 'get', url: '/events', tag: 'Record', role: 'view' },
  summary: 'What changes, as it happens: server-sent events',
  description:
    'Events of the type rollout have a row as in the list; those of the type decision say who decided what about which services. ' +
    'After one of the type resync, read the lists again: more has changed than is told. With Last-Event-ID it goes on behind that ' +
    'event; what changed within 10 s before may come again.',
  answer: { mediaType: 'text/event-stream' },
  problems: ['limited'],
  async handle({ context, isStillAllowed }, { feed }) {
    const stream = new PassThrough();
    const write = (text: string): void => {
      if (stream.writable) stream.write(text);
    };
    const told = ({ id, type, data }: FeedEvent): void => {
      const isRead = stream.readableFlowing !== null;
      if (isRead && stream.writableLength > mostWaitingBytes) return void stream.destroy();
      write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
    };
    write('retry: 2000\n\n');
    const last = context.get('Last-Event-ID');
    const end = await feed.listen({ told, ended: () => stream.end() }, eventId.test(last) ? last : undefined);
    if (end === undefined)
      throw new Problem(429, 'limited', 'Too many listen already. Ask again later.', { 'Retry-After': '30' });
    // Who listens was let in when it began, and need not be any more.
    const lookAgain = (): void =>
      void isStillAllowed().then(
        (isAllowed) => (isAllowed ? write(': still here\n\n') : stream.end()),
        () => stream.end(),
      );
    const beat = setInterval(lookAgain, beatMs);
    stream.once('close', () => {
      clearInterval(beat);
      end();
    });
    context.set({ 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    return stream;
  },
});

export const recordRoutes: readonly ApiRoute[] = [audit, figures, me, events];
