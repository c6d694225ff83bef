import type { Decision } from './rollout-state.ts';

/**
 * Shows that a decision was made by the operator whose name it carries. The operator has a token, Landfall only its hash; the proof is an
 * HMAC-SHA256 under that hash over everything that the decision says, and over the very run that it is about. So it tells nothing of
 * the token, and is worth nothing for another decision, another digest, or another run.
 *
 * The hash is a secret too: anybody who has it can make proofs. It is worth less than the token only in that it is in one place.
 */

/** What a proof is bound to; `rollout` and `runId` are those of the workflow. */
export interface ProvenDecision extends Pick<Decision, 'stage' | 'step' | 'digest' | 'head' | 'reason'> {
  readonly verb: string;
  readonly rollout: string;
  readonly runId: string;
  /** Name of the operator. */
  readonly by: string;
}

/** In characters. A shorter one could be guessed from a proof. */
export const shortestToken = 32;

const utf8 = new TextEncoder();
const algorithm = { name: 'HMAC', hash: 'SHA-256' } as const;

/** @returns `sha256:HEX`, as the configuration refers to it */
export async function hashOfToken(token: string): Promise<string> {
  return `sha256:${Buffer.from(await crypto.subtle.digest('SHA-256', utf8.encode(token))).toString('hex')}`;
}

export function isTokenHash(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}

/** @param tokenHash `sha256:HEX` @returns 64 hex digits */
export async function proofOf(tokenHash: string, decision: ProvenDecision): Promise<string> {
  const signature = await crypto.subtle.sign(algorithm.name, await keyFrom(tokenHash), messageOf(decision));
  return Buffer.from(signature).toString('hex');
}

/** Takes the same time whatever the proof is. */
export async function isProofOf(tokenHash: string, decision: ProvenDecision, proof: string): Promise<boolean> {
  if (!/^[0-9a-f]{64}$/.test(proof)) return false;
  return await crypto.subtle.verify(algorithm.name, await keyFrom(tokenHash), Buffer.from(proof, 'hex'), messageOf(decision));
}

async function keyFrom(tokenHash: string) {
  if (!isTokenHash(tokenHash)) throw new TypeError('expected the hash of a token: sha256: and 64 hex digits');
  const bytes = Buffer.from(tokenHash.slice('sha256:'.length), 'hex');
  return await crypto.subtle.importKey('raw', bytes, algorithm, false, ['sign', 'verify']);
}

/** A list has one form in JSON, and no part of it can be mistaken for another. */
function messageOf({ verb, rollout, runId, stage, step, digest, head, reason, by }: ProvenDecision): Uint8Array {
  const said = [verb, rollout, runId, stage ?? null, step ?? null, digest ?? null, reason ?? null, by];
  // What names no head is proven as it always was.
  return utf8.encode(
    JSON.stringify(head === undefined ? ['landfall decision 1', ...said] : ['landfall decision 2', ...said, head]),
  );
}
