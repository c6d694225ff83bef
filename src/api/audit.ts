import type { RequestOutcome } from './problem.ts';

/** One line of the audit log, as JSON. Lists of names are joined by commas; what is not known is left out. */
export interface AuditEntry {
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  readonly event_type: 'webhook_received';
  /** A receiver's name, or `none` for a path that is nobody's. */
  readonly source: string;
  readonly outcome: RequestOutcome;
  readonly status: number;
  /** The sender's id of the delivery; of several events in a request, the first that counts. */
  readonly delivery?: string;
  readonly event?: string;
  readonly action?: string;
  readonly repository?: string;
  readonly service?: string;
  /** Workflow ids. */
  readonly rollouts: readonly string[];
  readonly resolving: readonly string[];
  /** Rollouts that were told to look again; absent where the request was about a push. */
  readonly progress?: readonly string[];
  /** Why nothing was started. */
  readonly ignored?: string;
  readonly remote_address?: string;
  readonly duration_ms: number;
}

export type Audit = (entry: AuditEntry) => void;

/** Anything that takes lines of text: a stream, or one of pino's destinations. */
export interface LineDestination {
  write(line: string): unknown;
}

export function createAudit(destination: LineDestination): Audit {
  return (entry) => {
    destination.write(`${JSON.stringify(entry)}\n`);
  };
}
