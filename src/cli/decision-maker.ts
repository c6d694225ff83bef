import { hashOfToken, proofOf, shortestToken } from '../domain/decision-proof.ts';
import { nameOfPerson } from '../domain/person.ts';
import type { Decision } from '../domain/rollout-state.ts';
import { UsageFailure } from './failure.ts';
import type { Surroundings } from './terminal.ts';

/** Who makes a decision, and how they show that it is they. */
export interface DecisionMaker {
  readonly name: string;
  /** As the record will name them, unless the proof is refused. */
  readonly shown: string;
  /** Adds the name and, with a token, the proof for this very run. */
  sign(verb: string, at: { readonly rollout: string; readonly runId: string }, decision: Decision): Promise<Decision>;
}

/**
 * @param as overrides the name of the surroundings
 * @throws UsageFailure where LANDFALL_TOKEN cannot be a token
 */
export function decisionMaker(as: string | undefined, { env, operator }: Pick<Surroundings, 'env' | 'operator'>): DecisionMaker {
  const name = as?.trim() || operator;
  const token = env.LANDFALL_TOKEN?.trim();
  if (token && token.length < shortestToken) {
    throw new UsageFailure(
      `expected a token of at least ${shortestToken} characters in LANDFALL_TOKEN (landfall operator token makes one), found ${token.length}`,
    );
  }
  return {
    name,
    shown: nameOfPerson({ by: name, verified: Boolean(token) }),
    sign: async (verb, at, decision) => {
      const signed = { ...decision, by: name };
      if (!token) return signed;
      return { ...signed, proof: await proofOf(await hashOfToken(token), { verb, ...at, ...signed }) };
    },
  };
}
