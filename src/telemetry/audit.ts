import { type Audit, auditText, type RefusalEntry, type RequestEntry, type RequestOutcome } from '../domain/audit.ts';

/** Anything that takes lines of text: a stream, or one of pino's destinations. */
export interface LineDestination {
  write(line: string): unknown;
}

export function createAudit(destination: LineDestination): Audit {
  return (entry) => void destination.write(`${auditText(entry)}\n`);
}

interface FloodState {
  last: RequestEntry | RefusalEntry | undefined;
  omitted: number;
  readonly timer: NodeJS.Timeout;
}

/** What anybody can cause without having proven anything, and so by the thousand. */
const flooding: ReadonlySet<string> = new Set<RequestOutcome>([
  'limited',
  'unauthenticated',
  'not-found',
  'method-not-allowed',
  'unsupported-media-type',
  'malformed',
  'too-large',
  'timed-out',
  'aborted',
]);

/**
 * Floods of refused requests must not wash away what the log has of others: of each source and outcome one line at once, and one for all
 * others of the same second, which says how many it stands for. All are counted: lines and their `omitted` add up to the requests.
 * @returns `flush` writes what is held back, before the log is closed
 */
export function thinFloods(audit: Audit, everyMs = 1_000): { readonly audit: Audit; flush(): void } {
  const floods = new Map<string, FloodState>();
  const settle = (flood: FloodState): void => {
    const { last, omitted } = flood;
    Object.assign(flood, { last: undefined, omitted: 0 });
    if (last !== undefined) audit({ ...last, ...(omitted > 0 && { omitted }) });
  };
  const begin = (key: string): void => {
    const timer = setInterval(() => {
      if (flood.last !== undefined) return settle(flood);
      clearInterval(timer);
      floods.delete(key);
    }, everyMs).unref();
    const flood: FloodState = { last: undefined, omitted: 0, timer };
    floods.set(key, flood);
  };
  return {
    audit(entry) {
      const isThinned = entry.event_type === 'webhook_received' || entry.event_type === 'decision_refused';
      if (!isThinned || !flooding.has(entry.outcome)) return audit(entry);
      const key = `${entry.source} ${entry.outcome}`;
      const flood = floods.get(key);
      if (flood === undefined) {
        begin(key);
        return audit(entry);
      }
      if (flood.last !== undefined) flood.omitted += 1;
      flood.last = entry;
    },
    flush() {
      for (const flood of floods.values()) {
        clearInterval(flood.timer);
        settle(flood);
      }
      floods.clear();
    },
  };
}
