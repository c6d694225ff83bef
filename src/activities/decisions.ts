import { ApplicationFailure } from '@temporalio/common';
import type { DecisionActivities, ProofInput } from '../contracts/activities/people.ts';
import { isProofOf, isTokenHash } from '../domain/decision-proof.ts';
import { Refusal } from '../domain/failures.ts';
import { type OperatorEntry, type Person, roleFor, typedName } from '../domain/person.ts';
import type { Dependencies } from './dependencies.ts';

type DecisionDependencies = Pick<Dependencies, 'operators' | 'secrets' | 'vouchKey'>;

export function createDecisions(dependencies: DecisionDependencies): DecisionActivities {
  const { secrets, vouchKey } = dependencies;
  return {
    async whoDecided(input) {
      const { proof, login } = input.decision;
      // Anybody with Temporal access can send any JSON.
      const by = typeof input.decision.by === 'string' ? input.decision.by : undefined;
      // The configuration may be another one by now.
      const { operators } = dependencies;
      if (proof === undefined) return unproven(by, operators);
      if (login !== undefined) return await loggedIn(input, by, proof, { operators, vouchKey });
      const operator = operators.find(({ name }) => name === by);
      if (operator === undefined) return refuse(describeStranger(by, operators));
      await checkProof(input, operator, proof, hashOf(operator, secrets));
      checkRole(input.verb, operator);
      return { by: operator.name, verified: true, operator: operator.name };
    },
  };
}

/** A name that its owner could prove is not taken without that: anybody could have typed it. */
function unproven(by: string | undefined, operators: readonly OperatorEntry[]): Person {
  const name = typedName(by);
  const operator = operators.find((known) => known.name === name);
  if (operator?.token !== undefined && operator.proof !== 'optional') {
    refuse(
      `${name} has a token, so that a name alone is not enough: set LANDFALL_TOKEN to it and decide again, or decide under another name ` +
        '(proof: optional in operators takes the name alone)',
    );
  }
  return { by: name, verified: false };
}

/** What they may say, the API has looked at: it knows their groups. */
async function loggedIn(
  { rollout, runId, verb, decision }: ProofInput,
  by: string | undefined,
  proof: string,
  { operators, vouchKey }: Pick<DecisionDependencies, 'operators' | 'vouchKey'>,
): Promise<Person> {
  if (by === undefined || decision.login !== 'oidc') return refuse(`expected a name, and the login oidc, found ${typeof by}`);
  const key = await orRefused(by, vouchKey);
  if (!(await isProofOf(key, { ...decision, verb, rollout, runId, by }, proof))) {
    refuse(
      `the proof does not show that Landfall's API has seen ${typedName(by)} say '${verb}' to this run of ${rollout}: expected one made with ` +
        'the key of logins that this worker has (login.key), for exactly this decision',
    );
  }
  const operator = operators.find(({ oidc }) => oidc === by);
  return { by: operator?.name ?? typedName(by), verified: true, login: 'oidc', ...(operator && { operator: operator.name }) };
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
  const needed = roleFor(verb);
  if (roles.includes(needed)) return;
  refuse(
    `'${verb}' needs the role ${needed}, and ${name} has ${roles.join(', ') || 'none'}: ask somebody who has it, or add it to operators in the configuration`,
  );
}

/** The message names the reference, never what it stands for. */
function hashOf({ name, token }: OperatorEntry, secrets: Dependencies['secrets']): string {
  if (token === undefined) {
    return refuse(
      `${name} has no token in the configuration: decide without LANDFALL_TOKEN (unverified), or add one: landfall token`,
    );
  }
  try {
    const found = secrets(token);
    if (isTokenHash(found)) return found;
  } catch (error) {
    return cannotCheck(name, error);
  }
  return refuse(
    `Landfall cannot check what ${name} decides: expected sha256: and 64 hex digits in ${token}. landfall token makes one`,
  );
}

async function orRefused<Result>(name: string, read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (error) {
    return cannotCheck(typedName(name), error);
  }
}

function cannotCheck(name: string, error: unknown): never {
  // At once: retries of a local activity would keep the operator waiting.
  if (error instanceof Refusal) return refuse(`Landfall cannot check what ${name} decides: ${error.message}`);
  throw error;
}

function describeStranger(by: string | undefined, operators: readonly OperatorEntry[]): string {
  const found = by === undefined ? 'none' : `'${typedName(by)}'`;
  const known = operators.map(({ name }) => name).join(', ') || 'it has none';
  return `expected the name of an operator of the configuration (${known}), found ${found}: say --as NAME, or set LANDFALL_OPERATOR`;
}

function refuse(message: string): never {
  throw ApplicationFailure.create({ type: 'DecisionRefused', message, nonRetryable: true });
}
