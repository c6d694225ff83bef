import { setTimeout as pause } from 'node:timers/promises';
import type { AuditEntry } from '../../../domain/audit.ts';
import { messageOf } from '../../../domain/errors.ts';
import type { Log } from '../../../domain/log.ts';
import type { ChangedRollouts, RolloutRow } from '../../../operations/index.ts';

/** Something that has changed, for whoever listens. */
export type FeedEvent = EventContent & {
  /** Rises; its beginning is the time in milliseconds, so that another process can go on from it. */
  readonly id: string;
};

type EventContent =
  | { readonly type: 'rollout'; readonly data: RolloutRow }
  /** Somebody decided something about services; none: about all of them. */
  | { readonly type: 'decision'; readonly data: object }
  /** More has changed than is told one by one. */
  | { readonly type: 'resync'; readonly data: { readonly reason: string } };

export interface FeedListener {
  readonly told: (event: FeedEvent) => void;
  /** The process ends: nothing comes any more. */
  readonly ended: () => void;
}

export type EventFeed = ReturnType<typeof createEventFeed>;

interface FeedDependencies {
  /** Rows whose columns changed since then (ISO 8601), and now. */
  readonly changedSince: (time: string) => Promise<ChangedRollouts>;
  readonly log: Pick<Log, 'warn'>;
  readonly pollMs?: number;
  readonly now?: () => number;
}

const keptEvents = 1_000;
const mostListeners = 500;
/** Lists of Temporal lag behind a little, and clocks differ. */
const overlapMs = 10_000;
const resync: EventContent = {
  type: 'resync',
  data: { reason: 'more rollouts have changed than are told one by one: read the lists again' },
};

/** One question to Temporal a second, however many listen, and none while nobody does. */
export function createEventFeed({ changedSince, log, pollMs = 1_000, now = Date.now }: FeedDependencies) {
  const listeners = new Set<FeedListener>();
  const stopped = new AbortController();
  const recent: FeedEvent[] = [];
  /** By run: what was told of it last. */
  const told = new Map<string, string>();
  let isRunning = false;
  let last = 0;
  const isFull = (): boolean => listeners.size >= mostListeners || stopped.signal.aborted;
  const changes = (since: number) => changedSince(new Date(Math.max(0, since - overlapMs)).toISOString());

  const tell = (content: EventContent): void => {
    // Two of the same millisecond have numbers of their own.
    last = Math.max(last + 0.001, now());
    const event = { ...content, id: last.toFixed(3) };
    recent.push(event);
    if (recent.length > keptEvents) recent.shift();
    for (const listener of listeners) listener.told(event);
  };

  const look = async (since: number): Promise<void> => {
    const { rows, isCut } = await changes(since);
    for (const row of [...rows].sort((one, other) => one.changedAt.localeCompare(other.changedAt))) {
      const state = stateOf(row);
      if (told.get(row.runId) === state) continue;
      told.delete(row.runId);
      told.set(row.runId, state);
      tell({ type: 'rollout', data: row });
    }
    if (isCut) tell(resync);
    for (const runId of told.keys()) {
      if (told.size <= keptEvents * 2) break;
      told.delete(runId);
    }
  };

  /** It never rejects. */
  const poll = async (begin: number): Promise<void> => {
    isRunning = true;
    let since = begin;
    while (listeners.size > 0 && !stopped.signal.aborted) {
      const begun = now();
      try {
        await look(since);
        since = begun;
      } catch (error) {
        log.warn({ reason: messageOf(error) }, 'what has changed is not known: Temporal does not tell');
      }
      await pause(pollMs, undefined, { signal: stopped.signal }).catch(() => undefined);
    }
    isRunning = false;
  };

  /** What came after an event: what was told here, and what only Temporal knows, as another process told it, or nobody listened. */
  const missed = ({ rows, isCut }: ChangedRollouts, after: number): FeedEvent[] => {
    const here = recent.filter(({ id }) => Number(id) > after);
    const known = new Set(here.map((event) => event.type === 'rollout' && stateOf(event.data)));
    const others = rows
      .filter((row) => !known.has(stateOf(row)))
      .map((row): FeedEvent => ({ type: 'rollout', data: row, id: String(Math.min(Date.parse(row.changedAt), now())) }));
    const all: FeedEvent[] = [...(isCut ? [{ ...resync, id: '0' }] : []), ...others, ...here];
    let at = after;
    const inOrder = all
      .sort((one, other) => Number(one.id) - Number(other.id))
      .map((event) => {
        at = Math.max(at + 0.001, Number(event.id));
        return { ...event, id: at.toFixed(3) };
      });
    last = Math.max(last, at);
    return inOrder;
  };

  return {
    /**
     * @param lastId of an event: first it is told what came after that, and perhaps once more what changed shortly before
     * @returns a function that ends it, or undefined where too many listen already
     */
    async listen(listener: FeedListener, lastId?: string): Promise<(() => void) | undefined> {
      if (isFull()) return undefined;
      const begun = now();
      const after = Math.min(Number(lastId ?? begun), begun);
      const changed = lastId === undefined ? undefined : await changes(after);
      if (isFull()) return undefined;
      // Without a pause between the two, nothing comes before it or is left out.
      for (const event of changed === undefined ? [] : missed(changed, after)) listener.told(event);
      listeners.add(listener);
      if (!isRunning) void poll(begun);
      return () => void listeners.delete(listener);
    },
    /** Decisions of this process's workers are news at once. */
    heard(entry: AuditEntry): void {
      if (entry.event_type !== 'decision_made') return;
      const { action, by, services, stage, step, workflow } = entry;
      const where = { ...(stage !== undefined && { stage }), ...(step !== undefined && { step }) };
      tell({ type: 'decision', data: { action, by, services, workflow, ...where } });
    },
    get listening(): number {
      return listeners.size;
    },
    stop(): void {
      stopped.abort();
      for (const { ended } of listeners) ended();
      listeners.clear();
    },
  };
}

function stateOf({ runId, changedAt, status, stage }: RolloutRow): string {
  return `${runId} ${changedAt} ${status} ${stage}`;
}
