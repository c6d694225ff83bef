import type { OperatorEntry } from '../domain/operator.ts';
import type { ChangePlan } from '../domain/plan.ts';
import type { ForgeSections } from '../settings/github.ts';
import type { SecretCheck } from '../settings/scalars.ts';
import type { Kinds } from './kinds.ts';
import type { Role } from './roles.ts';

/** How secrets are checked that these parts of Landfall use. */
export type SecretCheckFor = (...users: readonly Role[]) => SecretCheck;

/** What services of one file share. */
export interface FileContext extends ForgeSections {
  readonly kinds: Kinds;
  /** Absent if that section is wrong by itself: then nothing can be said about their names. */
  readonly operators?: readonly OperatorEntry[];
  /** Absolute folder of the file. */
  readonly directory: string;
  readonly checkFor: SecretCheckFor;
}

/** What the parts of a stage have to know of each other. */
export interface StageContext extends FileContext {
  readonly stage: string;
  readonly change?: ChangePlan;
}
