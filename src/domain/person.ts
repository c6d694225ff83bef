import { oneLine } from './inert-text.ts';
import type { Approver } from './plan.ts';

/** Who said something. */
export interface Person {
  readonly by: string;
  /** Proven by a token, not just typed. */
  readonly verified: boolean;
}

/** What somebody said: who, why and when (ISO 8601, UTC). */
export interface Attribution {
  readonly by: string;
  readonly reason?: string;
  readonly at: string;
}

/** What an operator may do: `approve` a stage, or `operate` (everything else that a person can say). */
export type OperatorRole = 'operate' | 'approve';

/** A person whose decisions count. */
export interface OperatorEntry extends Approver {
  /** Secret reference of the token's hash (`sha256:HEX`). Absent: decides only by reviews at GitHub, or unverified. */
  readonly token?: string;
  readonly roles: readonly OperatorRole[];
}

const longestName = 100;
const longestReason = 500;

/** A name as somebody typed it, in one bounded line. */
export function typedName(typed: string | undefined): string {
  return typedLine(typed, longestName) || 'somebody with Temporal access';
}

/** Anybody with Temporal access can type any name, so a name alone is unverified. */
export function nameOfPerson({ by, verified }: Person): string {
  return verified ? by : `${by} (unverified)`;
}

/** A reason as somebody typed it, in one line: bounded, because it is kept in histories, memos and lanes. Empty if there is none. */
export function typedReason(typed: string | undefined): string {
  return typedLine(typed, longestReason);
}

/** Anybody with Temporal access can send any JSON: what is no text counts as nothing. */
function typedLine(typed: unknown, longest: number): string {
  return typeof typed === 'string' ? oneLine(typed, longest) : '';
}
