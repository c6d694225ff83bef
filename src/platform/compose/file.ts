/** A compose file as `docker compose config --format json` writes it; of its members only those are named that matter here. */
export interface ComposeProject {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly networks?: Readonly<Record<string, unknown>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
  readonly [other: string]: unknown;
}

export interface ComposeService {
  readonly image?: string;
  readonly build?: unknown;
  readonly platform?: string;
  readonly network_mode?: string;
  readonly networks?: Readonly<Record<string, unknown>> | null;
  readonly [other: string]: unknown;
}

/** The file cannot be run beside what is deployed on the same host; the message says which setting, and why. */
export class NotIsolated extends Error {}
