import type { OperatorEntry } from '../domain/operator.ts';
import type { ChangePlan } from '../domain/plan.ts';
import type { ForgeSections } from '../settings/github.ts';
import type { Kinds } from './kinds.ts';
import type { SecretCheckFor } from './schema.ts';
import type { DefaultsInput } from './service-schema.ts';

/** What services of one file share. */
export interface ServiceContext extends ForgeSections {
  readonly kinds: Kinds;
  readonly defaults: DefaultsInput;
  /** Absent if that section is wrong by itself: then nothing can be said about their names. */
  readonly operators?: readonly OperatorEntry[];
  /** Absolute folder of the file. */
  readonly directory: string;
  readonly checkFor: SecretCheckFor;
}

/** What the parts of a stage have to know of each other. */
export interface StageContext extends ServiceContext {
  readonly stage: string;
  readonly change?: ChangePlan;
}
