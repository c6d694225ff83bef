import type { OperatorEntry } from '../domain/operator.ts';
import type { Plan } from '../domain/plan.ts';
import type { CertificateHeader } from '../http/authentication.ts';
import type { TlsFiles } from '../http/tls.ts';
import type { ImagePattern } from '../settings/image-pattern.ts';
import type { Kinds } from './kinds.ts';
import type { NotifierSettings } from './people-schema.ts';
import type { TemporalSettings } from './temporal.ts';

/**
 * `landfall.yaml` after loading: checked, with every default filled in and every folder absolute. Secrets are still references
 * (`env:NAME`, `file:PATH`); `createSecretResolver` turns them into what they stand for.
 */
export interface Configuration {
  /** What it was read with. */
  readonly kinds: Kinds;
  /** Absolute. */
  readonly file: string;
  /** The folder of the file, absolute: what relative paths are relative to. */
  readonly directory: string;
  /** Without a slash at the end. */
  readonly publicUrl?: string;
  readonly listen: ListenSettings;
  /** By the name of the source, as its own schema read it. A source that is absent has no path. */
  readonly receivers: Readonly<Record<string, unknown>>;
  /** By registry host, as it stands in a canonical image reference. */
  readonly registries: Readonly<Record<string, RegistrySettings>>;
  /** By the kind of the forge, as its own schema read it. */
  readonly forge: Readonly<Record<string, unknown>>;
  readonly temporal: TemporalSettings;
  /** Absolute. */
  readonly artifacts: string;
  /** Absolute. */
  readonly data: string;
  /** Sections of kinds, by their keys: `trivy`. */
  readonly sections: Readonly<Record<string, unknown>>;
  readonly docker: { readonly host?: string };
  /** Milliseconds between two searches for missed pushes, where a registry has no time of its own; absent: none. */
  readonly searchEveryMs?: number;
  readonly audit: AuditSettings;
  readonly log: { readonly level: LogLevel };
  readonly operators: readonly OperatorEntry[];
  readonly notify: readonly NotifierSettings[];
  readonly services: readonly ServiceSettings[];
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

export interface ListenAddress {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

export interface ListenSettings {
  readonly webhooks: ListenAddress;
  readonly operators: ListenAddress;
  /** Absent: plain HTTP. */
  readonly tls?: TlsFiles;
  /** Addresses, and networks in CIDR notation. */
  readonly trustedProxies: readonly string[];
  /** In which the proxies pass client certificates on; absent: they do not. */
  readonly certificateHeader?: CertificateHeader;
  readonly limits: { readonly perMinute: number; readonly inWork: number };
}

export interface AuditSettings {
  /** Absolute. */
  readonly file: string;
  readonly bytes: number;
  readonly keep: number;
  /** A URL, or a reference. */
  readonly endpoint?: string;
}

export interface RegistrySettings {
  readonly username?: string;
  readonly password?: string;
  readonly plainHttp: boolean;
  /** Absent: as `searchEveryMs` says; `off`: this registry is not searched. */
  readonly searchEveryMs?: number | 'off';
}

/** One entry of `services`, merged with the defaults: a plan but for what the pushed repository adds, and with `{service}` and `{stage}` in texts. */
export interface ServiceSettings extends Omit<Plan, 'service' | 'repository' | 'notify'> {
  readonly image: ImagePattern;
  /** The service's name; with `*` for a pattern. */
  readonly name: string;
}
