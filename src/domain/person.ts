import { oneLine } from './inert-text.ts';
import type { Approver } from './plan.ts';

/** Who said something. */
export interface Person {
  readonly by: string;
  /** Proven by a token or a login, not just typed. */
  readonly verified: boolean;
  /** Proven by a login at the OpenID provider, for which Landfall's API vouches. */
  readonly login?: 'oidc';
  /** Whose decisions they are, by the name in the configuration. Absent: nobody's who is named there. */
  readonly operator?: string;
}

/** What somebody said: who, why and when (ISO 8601, UTC). */
export interface Attribution {
  readonly by: string;
  readonly reason?: string;
  readonly at: string;
}

/** What an operator may do: `view` all that there is, `approve` a stage, or `operate` (everything else that a person can say). */
export const operatorRoles = ['view', 'operate', 'approve'] as const;
export type OperatorRole = (typeof operatorRoles)[number];

/** What somebody needs for a decision. */
export function roleFor(verb: string): 'approve' | 'operate' {
  return verb === 'approve' ? 'approve' : 'operate';
}

/** A person whose decisions count. */
export interface OperatorEntry extends Approver {
  /** Secret reference of the token's hash (`sha256:HEX`). Absent: decides only by reviews at GitHub, or unverified. */
  readonly token?: string;
  /** `optional`: who only types this name is taken for somebody unverified, although there is a token. */
  readonly proof?: 'optional';
  readonly roles: readonly OperatorRole[];
}

const longestName = 100;
const longestReason = 500;

/** A name as somebody typed it, in one bounded line. */
export function typedName(typed: string | undefined): string {
  return typedLine(typed, longestName) || 'somebody with Temporal access';
}

/** Anybody with Temporal access can type any name, so a name alone is unverified. */
export function nameOfPerson({ by, verified, login }: Person): string {
  if (!verified) return `${by} (unverified)`;
  return login === undefined ? by : `${by} (${login})`;
}

/** A reason as somebody typed it, in one line: bounded, because it is kept in histories, memos and lanes. Empty if there is none. */
export function typedReason(typed: string | undefined): string {
  return typedLine(typed, longestReason);
}

/** Anybody with Temporal access can send any JSON: what is no text counts as nothing. */
function typedLine(typed: unknown, longest: number): string {
  return typeof typed === 'string' ? oneLine(typed, longest) : '';
}
