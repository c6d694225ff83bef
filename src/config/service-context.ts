import type { OperatorEntry } from '../domain/operator.ts';
import type { ConfiguredForges } from '../settings/github.ts';
import type { Kinds } from './kinds.ts';
import type { SecretCheckFor } from './schema.ts';
import type { DefaultsInput } from './service-schema.ts';

/** What services of one file share. */
export interface ServiceContext extends ConfiguredForges {
  readonly kinds: Kinds;
  readonly defaults: DefaultsInput;
  /** Absent if that section is wrong by itself: then nothing can be said about their names. */
  readonly operators?: readonly OperatorEntry[];
  /** Absolute folder of the file. */
  readonly directory: string;
  readonly checkFor: SecretCheckFor;
}
