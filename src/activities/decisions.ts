import { ApplicationFailure } from '@temporalio/common';
import type { DecisionActivities, ProofInput } from '../contracts/activities/people.ts';
import { isProofOf, isTokenHash } from '../domain/decision-proof.ts';
import { Refusal } from '../domain/failures.ts';
import { type OperatorEntry, typedName } from '../domain/person.ts';
import type { Dependencies } from './dependencies.ts';

export function createDecisions({ operators, secrets }: Pick<Dependencies, 'operators' | 'secrets'>): DecisionActivities {
  return {
    async whoDecided(input) {
      const { proof } = input.decision;
      // Anybody with Temporal access can send any JSON.
      const by = typeof input.decision.by === 'string' ? input.decision.by : undefined;
      if (proof === undefined) return { by: typedName(by), verified: false };
      const operator = operators.find(({ name }) => name === by);
      if (operator === undefined) return refuse(describeStranger(by, operators));
      await checkProof(input, operator, proof, hashOf(operator, secrets));
      checkRole(input.verb, operator);
      return { by: operator.name, verified: true };
    },
  };
}

async function checkProof(input: ProofInput, { name }: OperatorEntry, proof: string, tokenHash: string): Promise<void> {
  const { rollout, runId, verb, decision } = input;
  if (await isProofOf(tokenHash, { ...decision, verb, rollout, runId, by: name }, proof)) return;
  refuse(
    `the proof does not show that ${name} said '${verb}' to this run of ${rollout}: expected one made with ${name}'s token for exactly ` +
      'this decision. Set LANDFALL_TOKEN to that token and decide again',
  );
}

/** Checked only after the proof, so that nobody else learns who has which role. */
function checkRole(verb: string, { name, roles }: OperatorEntry): void {
  const needed = verb === 'approve' ? 'approve' : 'operate';
  if (roles.includes(needed)) return;
  refuse(
    `'${verb}' needs the role ${needed}, and ${name} has ${roles.join(', ') || 'none'}: ask somebody who has it, or add it to operators in the configuration`,
  );
}

/** The message names the reference, never what it stands for. */
function hashOf({ name, token }: OperatorEntry, secrets: Dependencies['secrets']): string {
  if (token === undefined) {
    return refuse(
      `${name} has no token in the configuration: decide without LANDFALL_TOKEN (unverified), or add one: landfall operator token`,
    );
  }
  try {
    const found = secrets(token);
    if (isTokenHash(found)) return found;
  } catch (error) {
    // At once: retries of a local activity would keep the operator waiting.
    if (error instanceof Refusal) return refuse(`Landfall cannot check what ${name} decides: ${error.message}`);
    throw error;
  }
  return refuse(
    `Landfall cannot check what ${name} decides: expected sha256: and 64 hex digits in ${token}. landfall operator token makes one`,
  );
}

function describeStranger(by: string | undefined, operators: readonly OperatorEntry[]): string {
  const found = by === undefined ? 'none' : `'${typedName(by)}'`;
  const known = operators.map(({ name }) => name).join(', ') || 'it has none';
  return `expected the name of an operator of the configuration (${known}), found ${found}: say --as NAME, or set LANDFALL_OPERATOR`;
}

function refuse(message: string): never {
  throw ApplicationFailure.create({ type: 'DecisionRefused', message, nonRetryable: true });
}
