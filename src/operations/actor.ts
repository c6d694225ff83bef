import { proofOf } from '../domain/decision-proof.ts';
import type { Decision } from '../domain/rollout-state.ts';

/** Who asks for something to be done, and what proves that it is they. */
export interface Actor {
  readonly name: string;
  /** Hash of their token, `sha256:HEX`: decisions are signed with it, and checked by the worker. Absent: the name is only a claim. */
  readonly tokenHash?: string;
}

/** Adds the name and, with a token, the proof for this very run. */
export async function signedBy(
  { name, tokenHash }: Actor,
  verb: string,
  at: { readonly rollout: string; readonly runId: string },
  decision: Decision,
): Promise<Decision> {
  const signed = { ...decision, by: name };
  if (tokenHash === undefined) return signed;
  return { ...signed, proof: await proofOf(tokenHash, { verb, ...at, ...signed }) };
}
