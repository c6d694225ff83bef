/** Who asked Landfall for what, and what came of it. */
interface EntryBase {
  /** ISO 8601, UTC. */
  readonly timestamp: string;
  /** What it is about, each once; empty if that is nothing, everything or not known. */
  readonly services: readonly string[];
  /** Image repositories. */
  readonly images: readonly string[];
  /** Where sources or deployments are kept: `owner/name`, or a URL. */
  readonly repositories: readonly string[];
  readonly action: string | null;
  /** The code of an HTTP answer, or a word. */
  readonly status: number | string;
  /** Why it was refused, failed or decided so. */
  readonly reason?: string;
  /** A source of pushes, or whoever acts: `operator`, `search`, `github`; `none` for a path that is nobody's. */
  readonly source: string;
  readonly outcome: string;
}

export type AuditEntry = RequestEntry | DecisionEntry | RefusalEntry | SearchEntry | RedeliveryEntry;

/** What became of a request, as the audit log and the metrics name it. */
export type RequestOutcome =
  | 'accepted'
  | 'ignored'
  | 'malformed'
  | 'unauthenticated'
  | 'foreign-origin'
  | 'forbidden'
  | 'refused'
  | 'ambiguous'
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
  readonly outcome: RequestOutcome;
  readonly status: number;
  /** The sender's id; of several events in a request, the first that counts. */
  readonly delivery?: string;
  readonly event?: string;
  /** Workflow ids, of what was started. `forwarding`: dispatches of a whole push. */
  readonly rollouts: readonly string[];
  readonly resolving: readonly string[];
  readonly forwarding?: readonly string[];
  /** Searches for what is to be built. */
  readonly building?: readonly string[];
  /** Rollouts that were told to look again; absent if the request was about a push. */
  readonly progress?: readonly string[];
  /** Why nothing was started. */
  readonly ignored?: string;
  /** So many more of the same source and outcome came within the same second and have no line of their own. */
  readonly omitted?: number;
  readonly remote_address: string;
  readonly duration_ms: number;
}

/** Somebody decided: on a step, a rollout, a lane or all lanes, or to roll something out or build it. */
export interface DecisionEntry extends EntryBase {
  readonly event_type: 'decision_made';
  readonly outcome: 'accepted';
  /** `retry`, `skip`, `approve`, `hold`, `trigger`, … */
  readonly action: string;
  /** As the rollout names them: `ann`, or `ann (unverified)`. */
  readonly by: string;
  readonly stage?: string;
  readonly step?: string;
  /** Of what was triggered. */
  readonly tag?: string;
  readonly digest?: string;
  /** Workflow id of what was decided on, and of the rollback or promotion that is started for it. */
  readonly workflow: string;
  readonly started?: string;
}

/**
 * Somebody wanted to decide, and may not, or it does not apply. In the log of requests: anybody can cause as many as they like. `outcome`:
 * `refused`, or `unauthenticated` where nobody knows who it was.
 */
export interface RefusalEntry extends EntryBase {
  readonly event_type: 'decision_refused';
  readonly outcome: 'refused' | 'unauthenticated';
  readonly action: string;
  /** As far as that is known. */
  readonly by: string;
  readonly reason: string;
  readonly stage?: string;
  readonly step?: string;
  readonly digest?: string;
  /** Workflow id of what it is about, where there is one. */
  readonly workflow?: string;
  /** So many more of the same kind came within the same second and have no line of their own. */
  readonly omitted?: number;
}

/** Whoever asked a listener for it, and why they may not have it. */
interface RefusedRequest extends Pick<RefusalEntry, 'source' | 'outcome' | 'status' | 'by' | 'reason'> {
  /** Where they asked, in place of a verb that they did not send. */
  readonly path: string;
  readonly service?: string | undefined;
  readonly workflow?: string | undefined;
}

/** The entry of what no worker has seen. @param said what they have sent: anything */
export function refusalOf(said: unknown, { path, service: ofPath, workflow, ...refused }: RefusedRequest): RefusalEntry {
  const text = (key: string): string | undefined => {
    const value: unknown = typeof said === 'object' && said !== null ? Reflect.get(said, key) : undefined;
    return typeof value === 'string' ? value.slice(0, 200) : undefined;
  };
  const service = ofPath ?? text('name');
  const [stage, step, digest] = [text('stage'), text('step'), text('digest')];
  return {
    timestamp: new Date().toISOString(),
    event_type: 'decision_refused',
    ...refused,
    action: text('verb') ?? path.slice(0, 200),
    services: service === undefined ? [] : [service.slice(0, 200)],
    images: [],
    repositories: [],
    ...(workflow !== undefined && { workflow: workflow.slice(0, 300) }),
    ...(stage !== undefined && { stage }),
    ...(step !== undefined && { step }),
    ...(digest !== undefined && { digest }),
  };
}

/**
 * A registry was searched for pushes that no webhook told of. `status`: `searched`, `rate-limited` or `failed`; `outcome`: `found`,
 * `nothing-new`, `baseline` (the first look) or `failed`.
 */
export interface SearchEntry extends EntryBase {
  readonly event_type: 'registry_searched';
  readonly registry: string;
  /** `repository:tag@digest` of what was found. */
  readonly found: readonly string[];
}

/** GitHub was asked for failed webhook deliveries. `outcome`: `redelivered`, `nothing-failed` or `failed`. */
export interface RedeliveryEntry extends EntryBase {
  readonly event_type: 'deliveries_checked';
  /** Delivery ids (GUID) that were asked for again. */
  readonly redelivered: readonly string[];
}

export type Audit = (entry: AuditEntry) => void;

/** An entry as the audit log has it, one line of JSON: `service`, `repository` and `image` hold one name, several joined by commas, or null. */
export type AuditLine =
  | LineOf<RequestEntry>
  | LineOf<DecisionEntry>
  | LineOf<RefusalEntry>
  | LineOf<SearchEntry>
  | LineOf<RedeliveryEntry>;
export type RequestLine = LineOf<RequestEntry>;

type LineOf<Entry> = Omit<Entry, 'services' | 'images' | 'repositories'> &
  Readonly<Record<'service' | 'repository' | 'image', string | null>>;

const separator = ',';

/** The text of an entry's line, without a line break. */
export function auditText(entry: AuditEntry): string {
  const joined = (names: readonly string[]) => (names.length === 0 ? null : names.join(separator));
  const { timestamp, event_type, source, outcome, services, action, status, repositories, images, ...rest } = entry;
  return JSON.stringify({
    timestamp,
    event_type,
    source,
    outcome,
    service: joined(services),
    action,
    status,
    repository: joined(repositories),
    image: joined(images),
    ...rest,
  });
}

export function servicesIn({ service }: Pick<AuditLine, 'service'>): readonly string[] {
  return typeof service === 'string' ? service.split(separator) : [];
}
