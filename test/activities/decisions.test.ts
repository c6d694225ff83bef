import assert from 'node:assert/strict';
import { createDecisions } from '../../src/activities/decisions.ts';
import type { ProofInput } from '../../src/contracts/activities/people.ts';
import { hashOfToken, proofOf } from '../../src/domain/decision-proof.ts';
import type { OperatorEntry } from '../../src/domain/person.ts';
import type { Decision } from '../../src/domain/rollout-state.ts';
import { createSecretResolver } from '../../src/settings/secrets.ts';
import { failureOf, runActivity } from '../support/activity.ts';

const tokens = { ann: `ann's ${'a'.repeat(32)}`, ben: `ben's ${'b'.repeat(32)}` };
const operators: readonly OperatorEntry[] = [
  { name: 'ann', token: 'env:ANN_TOKEN_HASH', roles: ['approve'] },
  { name: 'ben', token: 'env:BEN_TOKEN_HASH', roles: ['operate'] },
  { name: 'cleo', github: 'cleo-gh', roles: ['approve', 'operate'] },
  { name: 'dan', token: 'env:DAN_TOKEN_HASH', roles: ['approve'] },
  { name: 'eve', token: 'env:EVE_TOKEN', roles: ['approve'] },
  { name: 'gus', token: 'env:ANN_TOKEN_HASH', proof: 'optional', roles: ['approve'] },
  { name: 'hal', oidc: 'hal@corp', roles: ['approve'] },
  { name: 'fay', token: 'env:ANN_TOKEN_HASH', roles: [] },
];
const run = { rollout: 'rollout:app:latest:aaaaaaaaaaaa', runId: 'run-1' };
const vouchKey = () => hashOfToken('the key of logins, at least 32 characters');
const digest = `sha256:${'a'.repeat(64)}`;

describe('who decided', () => {
  let whoDecided: ReturnType<typeof createDecisions>['whoDecided'];
  before(async () => {
    const env = {
      ANN_TOKEN_HASH: await hashOfToken(tokens.ann),
      BEN_TOKEN_HASH: await hashOfToken(tokens.ben),
      EVE_TOKEN: 'a token where its hash belongs, 32 long',
    };
    whoDecided = createDecisions({ operators, secrets: createSecretResolver(env, '/'), vouchKey }).whoDecided;
  });

  const decided = (verb: string, decision: Decision, at: Partial<ProofInput> = {}) =>
    runActivity(whoDecided, { ...run, verb, decision, ...at });

  /** As the command makes it: with the token of `who`, under the name in the decision. */
  async function proven(verb: string, decision: Decision & { readonly by: string }, token: string): Promise<Decision> {
    return { ...decision, proof: await proofOf(await hashOfToken(token), { verb, ...run, ...decision }) };
  }

  const refusal = async (attempt: Promise<unknown>): Promise<string> => {
    const { type, message, nonRetryable } = await failureOf(attempt);
    assert.deepEqual([type, nonRetryable], ['DecisionRefused', true]);
    return message;
  };

  it('is the operator whose token made the proof', async () => {
    const approval = await proven('approve', { by: 'ann', stage: 'production', digest, reason: 'fine' }, tokens.ann);
    assert.deepEqual(await decided('approve', approval), { by: 'ann', verified: true, operator: 'ann' });
    const retry = await proven('retry', { by: 'ben', step: 'scan' }, tokens.ben);
    assert.deepEqual(await decided('retry', retry), { by: 'ben', verified: true, operator: 'ben' });
  });

  it('is the name as it was typed, unverified, where there is no proof', async () => {
    assert.deepEqual(await decided('approve', { by: 'cleo' }), { by: 'cleo', verified: false });
    assert.deepEqual(await decided('approve', { by: 'gus' }), { by: 'gus', verified: false });
    assert.deepEqual(await decided('abort', { by: 'who\never' }), { by: 'who ever', verified: false });
    assert.deepEqual(await decided('abort', {}), { by: 'somebody with Temporal access', verified: false });
  });

  it('is nobody who only types the name of somebody with a token', async () => {
    assert.match(await refusal(decided('approve', { by: 'ann' })), /ann has a token, so that a name alone is not enough/);
    assert.match(await refusal(decided('abort', { by: ' ben ' })), /ben has a token/);
  });

  it('is who has logged in, where the API vouches for them, by the operator whom they are linked to', async () => {
    const vouched = async (decision: Decision & { readonly by: string }) => ({
      ...decision,
      proof: await proofOf(await vouchKey(), { verb: 'retry', ...run, ...decision }),
    });
    const hal = await decided('retry', await vouched({ by: 'hal@corp', login: 'oidc', earlier: 3 }));
    assert.deepEqual(hal, { by: 'hal', verified: true, login: 'oidc', operator: 'hal' });
    const ann = await decided('retry', await vouched({ by: 'ann', login: 'oidc', earlier: 3 }));
    assert.deepEqual(ann, { by: 'ann', verified: true, login: 'oidc' }, 'no operator of that name');
    const byToken = await proven('retry', { by: 'ben', login: 'oidc', earlier: 3 }, tokens.ben);
    assert.match(await refusal(decided('retry', byToken)), /does not show that Landfall's API has seen ben say 'retry'/);
    const { login: _, ...without } = await vouched({ by: 'ann', login: 'oidc', earlier: 3 });
    assert.match(await refusal(decided('retry', without)), /expected one made with ann's token/);
    assert.match(await refusal(decided('abort', await vouched({ by: 'ann', login: 'oidc', earlier: 3 }))), /does not show/);
  });

  it('is somebody where the name is no text, and a proof that is none is refused', async () => {
    const strange = { by: 7, proof: { of: 'nothing' } } as unknown as Decision;
    assert.match(await refusal(decided('approve', strange)), /found none: say --as NAME/);
    assert.match(await refusal(decided('approve', { ...strange, by: 'ann' })), /expected one made with ann's token/);
    const { proof: _, ...unproven } = strange;
    assert.deepEqual(await decided('abort', unproven), { by: 'somebody with Temporal access', verified: false });
  });

  it('refuses the proof of another decision: verb, run, stage, step, digest, reason', async () => {
    const decision = { by: 'ann', stage: 'staging', step: 'approve', digest, reason: 'fine' };
    const approval = await proven('approve', decision, tokens.ann);
    const others: readonly (() => Promise<unknown>)[] = [
      () => decided('reject', approval),
      () => decided('approve', approval, { rollout: 'rollout:app:latest:bbbbbbbbbbbb' }),
      () => decided('approve', approval, { runId: 'run-2' }),
      () => decided('approve', { ...approval, stage: 'production' }),
      () => decided('approve', { ...approval, step: 'merge' }),
      () => decided('approve', { ...approval, digest: `sha256:${'b'.repeat(64)}` }),
      () => decided('approve', { ...approval, reason: 'something else' }),
      () => decided('approve', { by: 'ann', ...(approval.proof !== undefined && { proof: approval.proof }) }),
    ];
    for (const other of others)
      assert.match(await refusal(other()), /expected one made with ann's token for exactly this decision/);
  });

  it('refuses the proof of somebody else', async () => {
    const asAnn = await proven('approve', { by: 'ann', digest }, tokens.ben);
    assert.match(await refusal(decided('approve', asAnn)), /expected one made with ann's token/);
    assert.match(await refusal(decided('approve', { by: 'ann', proof: '' })), /expected one made with ann's token/);
  });

  it('refuses a proof under a name that is nobody’s, and says whose names there are', async () => {
    const stranger = await proven('approve', { by: 'zoe' }, tokens.ann);
    assert.match(await refusal(decided('approve', stranger)), /\(ann, ben, cleo, .*\), found 'zoe'/);
    assert.match(await refusal(decided('approve', { proof: '0'.repeat(64) })), /found none: say --as NAME/);
    const none = createDecisions({ operators: [], secrets: () => '', vouchKey });
    const attempt = runActivity(none.whoDecided, { ...run, verb: 'approve', decision: stranger });
    assert.match(await refusal(attempt), /it has none/);
  });

  it('refuses an operator without the role, but only one who has proven who they are', async () => {
    const retry = await proven('retry', { by: 'ann' }, tokens.ann);
    assert.match(await refusal(decided('retry', retry)), /'retry' needs the role operate, and ann has approve/);
    const approval = await proven('approve', { by: 'ben', digest }, tokens.ben);
    assert.match(await refusal(decided('approve', approval)), /'approve' needs the role approve, and ben has operate/);
    const fay = await proven('approve', { by: 'fay' }, tokens.ann);
    assert.match(await refusal(decided('approve', fay)), /fay has none/);
    assert.match(await refusal(decided('retry', { by: 'ann', proof: '0'.repeat(64) })), /expected one made with ann's token/);
  });

  it('refuses at once where Landfall has no hash to check by, and never shows what it has', async () => {
    const attempt = async (by: string) => refusal(decided('approve', await proven('approve', { by }, tokens.ann)));
    assert.match(await attempt('cleo'), /cleo has no token in the configuration/);
    assert.match(await attempt('dan'), /expected a secret in the environment variable DAN_TOKEN_HASH, which is not set/);
    const eve = await attempt('eve');
    assert.match(eve, /expected sha256: and 64 hex digits in env:EVE_TOKEN/);
    assert.doesNotMatch(eve, /where its hash belongs/);
  });
});
