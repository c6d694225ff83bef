import type { Client } from '@temporalio/client';
import { decidedQuery } from '../contracts/messages.ts';
import { decidedMeanwhile, everyRun, proofOf } from '../domain/decision-proof.ts';
import type { Decision } from '../domain/rollout-state.ts';
import { Refused } from './errors.ts';
import { answered, answerWithinMs } from './temporal-calls.ts';

interface ProofTarget {
  readonly verb: string;
  /** Workflow id. */
  readonly rollout: string;
  /** `everyRun` for lanes and the global hold. */
  readonly runId: string;
  readonly tokenHash: string | undefined;
}

/** Others may decide at the same time. */
const mostTries = 5;

/**
 * Says something to a workflow, with the proof that its author said just this, once. Where the workflow decided something else in between,
 * it is asked again and the proof is made anew.
 * @param say is given the decision with its proof, or as it is where there is no token
 */
export async function withProof<Said extends Decision & { readonly by: string }, Answer>(
  client: Client,
  { verb, rollout, runId, tokenHash }: ProofTarget,
  said: Said,
  say: (decision: Said) => Promise<Answer>,
): Promise<Answer> {
  if (tokenHash === undefined) return await say(said);
  const handle = client.workflow.getHandle(rollout, runId === everyRun ? undefined : runId);
  for (let tries = 1; ; tries += 1) {
    const earlier = await answered(client, answerWithinMs, () => handle.query(decidedQuery));
    const decision = { ...said, earlier };
    const proof = await proofOf(tokenHash, { verb, rollout, runId, ...decision });
    try {
      return await say({ ...decision, proof });
    } catch (error) {
      if (!(error instanceof Refused) || !error.message.includes(decidedMeanwhile) || tries === mostTries) throw error;
    }
  }
}
