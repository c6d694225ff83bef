import { setTimeout as pause } from 'node:timers/promises';
import type { AuditEntry } from '../../../domain/audit.ts';
import { messageOf } from '../../../domain/errors.ts';
import type { Log } from '../../../domain/log.ts';
import type { RolloutRow } from '../../../operations/index.ts';

/** Something that has changed, for whoever listens. */
export interface FeedEvent {
  /** Rises; its beginning is the time in milliseconds, so that another process can go on from it. */
  readonly id: string;
  /** `rollout`: a row has changed. `decision`: somebody decided something about services; none: about all of them. */
  readonly type: 'rollout' | 'decision';
  readonly data: unknown;
}

export type EventFeed = ReturnType<typeof createEventFeed>;

interface FeedDependencies {
  /** Rows whose columns changed since then (ISO 8601), and now. */
  readonly changedSince: (time: string) => Promise<readonly RolloutRow[]>;
  readonly log: Pick<Log, 'warn'>;
  readonly pollMs?: number;
  readonly now?: () => number;
}

function rowEvent(row: RolloutRow): FeedEvent {
  return { id: Date.parse(row.changedAt).toFixed(3), type: 'rollout', data: row };
}

const keptEvents = 1_000;
const mostListeners = 500;
/** Lists of Temporal lag behind a little. */
const overlapMs = 10_000;

/** One question to Temporal a second, however many listen, and none while nobody does. */
export function createEventFeed({ changedSince, log, pollMs = 1_000, now = Date.now }: FeedDependencies) {
  const listeners = new Set<(event: FeedEvent) => void>();
  const stopped = new AbortController();
  const recent: FeedEvent[] = [];
  /** By run: what was told of it last. */
  const told = new Map<string, string>();
  let isRunning = false;
  let last = 0;

  const tell = (type: FeedEvent['type'], data: unknown): void => {
    // Two of the same millisecond have numbers of their own.
    last = Math.max(last + 0.001, now());
    const event = { id: last.toFixed(3), type, data };
    recent.push(event);
    if (recent.length > keptEvents) recent.shift();
    for (const listener of listeners) listener(event);
  };

  const look = async (since: number, isFirst: boolean): Promise<void> => {
    const rows = await changedSince(new Date(since).toISOString());
    for (const row of [...rows].sort((one, other) => one.changedAt.localeCompare(other.changedAt))) {
      const state = `${row.changedAt} ${row.status} ${row.stage}`;
      if (told.get(row.runId) === state) continue;
      told.delete(row.runId);
      told.set(row.runId, state);
      // What was so before anybody listened is no news.
      if (!isFirst) tell('rollout', row);
    }
    for (const runId of told.keys()) {
      if (told.size <= keptEvents * 2) break;
      told.delete(runId);
    }
  };

  /** It never rejects. */
  const poll = async (): Promise<void> => {
    isRunning = true;
    let isFirst = true;
    let since = now();
    while (listeners.size > 0 && !stopped.signal.aborted) {
      const begun = now();
      try {
        await look(since - overlapMs, isFirst);
        [isFirst, since] = [false, begun];
      } catch (error) {
        log.warn({ reason: messageOf(error) }, 'what has changed is not known: Temporal does not tell');
      }
      await pause(pollMs, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
    isRunning = false;
  };

  return {
    /** @returns a function that ends it, or undefined where too many listen already */
    listen(listener: (event: FeedEvent) => void): (() => void) | undefined {
      if (listeners.size >= mostListeners || stopped.signal.aborted) return undefined;
      listeners.add(listener);
      if (!isRunning) void poll();
      return () => void listeners.delete(listener);
    },
    /** What came after an event. Of rollouts Temporal knows it, also where another process told the event, or nobody listened since. */
    async since(id: string): Promise<readonly FeedEvent[]> {
      const rows = await changedSince(new Date(Number(id)).toISOString());
      const decisions = recent.filter((event) => event.type === 'decision' && Number(event.id) > Number(id));
      return [...rows.map(rowEvent), ...decisions].sort((one, other) => Number(one.id) - Number(other.id));
    },
    /** Decisions of this process's workers are news at once. */
    heard(entry: AuditEntry): void {
      if (entry.event_type !== 'decision_made' || listeners.size === 0) return;
      const { action, by, services, stage, step, workflow } = entry;
      const where = { ...(stage !== undefined && { stage }), ...(step !== undefined && { step }) };
      tell('decision', { action, by, services, workflow, ...where });
    },
    get listening(): number {
      return listeners.size;
    },
    onStop: (stop: () => void): void => stopped.signal.addEventListener('abort', stop, { once: true }),
    stop(): void {
      stopped.abort();
      listeners.clear();
    },
  };
}
