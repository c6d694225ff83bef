/** Who asked Landfall for what, and what came of it. */
interface EntryBase {
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  /** Whom it is about, each once; empty if that is nobody, everybody or not known. */
  readonly services: readonly string[];
  readonly action: string | null;
  /** The code of an HTTP answer, or a word. */
  readonly status: number | string;
  /** Each once; empty if not known. */
  readonly repositories: readonly string[];
}

export type AuditEntry = RequestEntry | DecisionEntry | SearchEntry | RedeliveryEntry;

/** What became of a request, as the audit log and the metrics name it. */
export type RequestOutcome =
  | 'accepted'
  | 'ignored'
  | 'malformed'
  | 'unauthenticated'
  | 'not-found'
  | 'method-not-allowed'
  | 'timed-out'
  | 'too-large'
  | 'unsupported-media-type'
  | 'aborted'
  | 'limited'
  | 'failed'
  | 'unavailable';

export interface RequestEntry extends EntryBase {
  readonly event_type: 'webhook_received';
  /** A receiver's name, or `none` for a path that is nobody's. */
  readonly source: string;
  readonly outcome: RequestOutcome;
  readonly status: number;
  /** The sender's id of the delivery; of several events in a request, the first that counts. */
  readonly delivery?: string;
  readonly event?: string;
  /** Workflow ids. */
  readonly rollouts: readonly string[];
  readonly resolving: readonly string[];
  /** Workflow ids of dispatches of a whole push; absent if there are none. */
  readonly forwarding?: readonly string[];
  /** Rollouts that were told to look again; absent if the request was about a push. */
  readonly progress?: readonly string[];
  /** Why nothing was started. */
  readonly ignored?: string;
  /** Why the request was refused, in our own words. */
  readonly reason?: string;
  /** So many more of the same source and outcome came within the same second and have no line of their own. */
  readonly omitted?: number;
  readonly remote_address: string;
  readonly duration_ms: number;
}

/** Somebody decided: on a step, a rollout, a lane or all lanes. */
export interface DecisionEntry extends EntryBase {
  readonly event_type: 'decision_made';
  /** `operator`; `github` for a review of a pull request. */
  readonly source: string;
  readonly outcome: 'accepted';
  /** `retry`, `skip`, `approve`, `hold`, … */
  readonly action: string;
  /** As the rollout names them: `ann`, or `ann (unverified)`. */
  readonly by: string;
  readonly reason?: string;
  readonly stage?: string;
  readonly step?: string;
  readonly digest?: string;
  /** Workflow id of what was decided on. */
  readonly workflow: string;
  /** Workflow id of what is started for it: of a rollback, of a promotion. */
  readonly started?: string;
}

/** A registry was searched for pushes that no webhook told of. `status`: `searched`, `rate-limited` or `failed`. */
export interface SearchEntry extends EntryBase {
  readonly event_type: 'registry_searched';
  /** `search` */
  readonly source: string;
  /** `found`, `nothing-new`, `baseline` (the first look) or `failed`. */
  readonly outcome: string;
  readonly registry: string;
  /** `repository:tag@digest` of what was found. */
  readonly found: readonly string[];
  readonly reason?: string;
}

/** GitHub was asked for failed webhook deliveries. */
export interface RedeliveryEntry extends EntryBase {
  readonly event_type: 'deliveries_checked';
  /** `github` */
  readonly source: string;
  /** `redelivered`, `nothing-failed` or `failed`. */
  readonly outcome: string;
  /** Delivery ids (GUID) that were asked for again. */
  readonly redelivered: readonly string[];
  readonly reason?: string;
}

export type Audit = (entry: AuditEntry) => void;

/**
 * An entry as the audit log has it, one line of JSON: `service` and `repository` hold one name, several joined by commas, or null.
 */
export type AuditLine = LineOf<AuditEntry>;
export type RequestLine = LineOf<RequestEntry>;

/** For each type of a union. */
type LineOf<Entry extends AuditEntry> = Entry extends AuditEntry
  ? Omit<Entry, 'services' | 'repositories'> & { readonly service: string | null; readonly repository: string | null }
  : never;

const separator = ',';

/** The text of an entry's line, without a line break. */
export function auditText(entry: AuditEntry): string {
  const joined = (names: readonly string[]) => (names.length === 0 ? null : names.join(separator));
  const { timestamp, event_type, source, outcome, services, action, status, repositories, ...rest } = entry;
  return JSON.stringify({
    timestamp,
    event_type,
    source,
    outcome,
    service: joined(services),
    action,
    status,
    repository: joined(repositories),
    ...rest,
  });
}

/** The services of a line. */
export function servicesIn({ service }: Pick<AuditLine, 'service'>): readonly string[] {
  return typeof service === 'string' ? service.split(separator) : [];
}
