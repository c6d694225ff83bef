import type { TlsFiles } from '../http/tls.ts';
import type { BuildSettings } from './builds.ts';
import type { Kinds } from './kinds.ts';
import type { FileInput } from './schema.ts';
import type { ServiceSettings } from './service.ts';
import type { TemporalSettings } from './temporal.ts';

type RegistryInput = NonNullable<FileInput['registries']>[string];

/** `landfall.yaml` after loading: checked, every default filled in, every path absolute. Secrets are still references (`env:NAME`). */
export interface Configuration extends Pick<FileInput, 'publicUrl'> {
  /** What it was read with. */
  readonly kinds: Kinds;
  readonly file: string;
  /** The folder of the file: what relative paths are relative to. */
  readonly directory: string;
  /** Without `tls` plain HTTP. */
  readonly listen: Omit<FileInput['listen'], 'tls'> & { readonly tls?: TlsFiles };
  /** By the name of the source, as its own schema read it. A source that is absent has no path. */
  readonly receivers: Readonly<Record<string, unknown>>;
  /** By registry host, as it stands in a canonical image reference. Without a time of its own, `searchEveryMs` holds; `off`: no search. */
  readonly registries: Readonly<Record<string, Omit<RegistryInput, 'search'> & { readonly searchEveryMs?: number | 'off' }>>;
  /** By the kind of the forge, as its own schema read it. */
  readonly forge: Readonly<Record<string, unknown>>;
  readonly temporal: TemporalSettings;
  readonly artifacts: string;
  readonly data: string;
  /** Sections of kinds, by their keys: `trivy`. */
  readonly sections: Readonly<Record<string, unknown>>;
  readonly docker: { readonly host?: string };
  /** Absent: what the machine can stand. */
  readonly limits: { readonly checks?: number; readonly builds?: number };
  /** Milliseconds between two searches for missed pushes, where a registry has no time of its own; absent: none. */
  readonly searchEveryMs?: number;
  readonly audit: AuditSettings;
  readonly log: Required<NonNullable<FileInput['log']>>;
  readonly operators: NonNullable<FileInput['operators']>;
  readonly login: FileInput['login'];
  readonly notify: NonNullable<FileInput['notify']>;
  readonly builds: readonly BuildSettings[];
  readonly services: readonly ServiceSettings[];
}

export interface AuditSettings {
  readonly file: string;
  readonly bytes: number;
  readonly keep: number;
  /** A URL, or a reference. */
  readonly endpoint?: string;
  /** Whether that may be without TLS. */
  readonly plainHttp?: boolean;
}
