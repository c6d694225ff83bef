import { type Audit, type AuditEntry, auditText, type RequestEntry } from '../domain/audit.ts';

/** Anything that takes lines of text: a stream, or one of pino's destinations. */
export interface LineDestination {
  write(line: string): unknown;
}

export function createAudit(destination: LineDestination): Audit {
  return (entry) => {
    destination.write(`${auditText(entry)}\n`);
  };
}

/** An audit that holds lines back for a moment. */
export interface ThinnedAudit {
  readonly audit: Audit;
  /** Writes what is held back. To be called before the log is closed. */
  flush(): void;
}

interface FloodState {
  last: RequestEntry | undefined;
  omitted: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Requests over the rate limit come by the thousand: of each source one line at once, and one for all others of the same second, which
 * says how many it stands for. All are counted: lines and their `omitted` add up to the requests.
 */
export function thinFloods(audit: Audit, everyMs = 1_000): ThinnedAudit {
  const floods = new Map<string, FloodState>();
  const settle = (source: string, flood: FloodState): boolean => {
    const { last, omitted } = flood;
    if (last === undefined) return false;
    flood.last = undefined;
    flood.omitted = 0;
    audit({ ...last, ...(omitted > 0 && { omitted }) });
    return floods.has(source);
  };
  const begin = (source: string): void => {
    const timer = setInterval(() => {
      if (settle(source, flood)) return;
      clearInterval(timer);
      floods.delete(source);
    }, everyMs).unref();
    const flood: FloodState = { last: undefined, omitted: 0, timer };
    floods.set(source, flood);
  };
  return {
    audit(entry) {
      if (!isLimited(entry)) return audit(entry);
      const flood = floods.get(entry.source);
      if (flood === undefined) {
        begin(entry.source);
        return audit(entry);
      }
      if (flood.last !== undefined) flood.omitted += 1;
      flood.last = entry;
    },
    flush() {
      for (const [source, flood] of floods) {
        clearInterval(flood.timer);
        settle(source, flood);
      }
      floods.clear();
    },
  };
}

function isLimited(entry: AuditEntry): entry is RequestEntry {
  return entry.event_type === 'webhook_received' && entry.outcome === 'limited';
}
