/** What an operator may do: `approve` a stage, or `operate` (everything else that a person can say). */
export type OperatorRole = 'operate' | 'approve';

/** A person whose decisions count, as the configuration names them. */
export interface OperatorEntry {
  readonly name: string;
  /** Login at GitHub: reviews of this account are this person's. */
  readonly github?: string;
  /** Secret reference of the token's hash (`sha256:HEX`). Absent: decides only by reviews at GitHub, or unverified. */
  readonly token?: string;
  readonly roles: readonly OperatorRole[];
}
