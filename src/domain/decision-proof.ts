import type { ImagePush } from './image-push.ts';
import type { Decision } from './rollout-state.ts';

/**
 * Shows that a decision was made by the operator whose name it carries. The operator has a token, Landfall only its hash; the proof is an
 * HMAC-SHA256 under that hash over everything that the decision says, over the very run that it is about, and over how many decisions
 * there were before. So it tells nothing of the token, and is worth nothing for another decision, another digest, another run, or again.
 *
 * For somebody who has logged in at the OpenID provider, Landfall's API makes the proof, by a key that only it and the workers have: it
 * vouches for the name, and for what that person may say.
 *
 * The hash is a secret too: anybody who has it can make proofs. It is worth less than the token only in that it is in one place.
 */

/** What a proof is bound to; `rollout` and `runId` are those of the workflow. */
export interface ProvenDecision extends Pick<Decision, 'stage' | 'step' | 'digest' | 'head' | 'reason' | 'earlier' | 'login'> {
  readonly verb: string;
  readonly rollout: string;
  readonly runId: string;
  /** Name of the operator, or of somebody who has logged in. */
  readonly by: string;
}

/** What the proof of a trigger is bound to: this service and image, and this very delivery. */
export function provenTrigger(service: string, { repository, tag, deliveryId, receivedAt }: Trigger) {
  return { verb: 'trigger', rollout: `trigger:${service}:${repository}:${tag}`, runId: `${deliveryId} ${receivedAt}` } as const;
}
type Trigger = Pick<ImagePush, 'repository' | 'tag' | 'deliveryId' | 'receivedAt'>;

/** In place of the id of a run, for what is said to workflows that never end: they go on from run to run, and so does their count. */
export const everyRun = '';

/** What a workflow answers where its count has moved on since the proof was made; the command looks again and makes a new one. */
export const decidedMeanwhile = 'something else was decided meanwhile, or this very proof was used before';

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
function messageOf({ verb, rollout, runId, stage, step, digest, head, reason, by, earlier, login }: ProvenDecision): Uint8Array {
  const said = [verb, rollout, runId, stage ?? null, step ?? null, digest ?? null, reason ?? null, by];
  if (login !== undefined)
    return utf8.encode(JSON.stringify(['landfall decision 4', ...said, head ?? null, earlier ?? null, login]));
  if (earlier !== undefined) return utf8.encode(JSON.stringify(['landfall decision 3', ...said, head ?? null, earlier]));
  // What names no head is proven as it always was.
  return utf8.encode(
    JSON.stringify(head === undefined ? ['landfall decision 1', ...said] : ['landfall decision 2', ...said, head]),
  );
}
