import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { hashOfToken, isProofOf, isTokenHash, type ProvenDecision, proofOf } from '../../src/domain/decision-proof.ts';
import { nameOfPerson, typedName } from '../../src/domain/person.ts';

const token = 'a token that was made up for this test';
const decision: ProvenDecision = {
  verb: 'approve',
  rollout: 'rollout:app:latest:5241707f4a8e',
  runId: '0199a0f6-5a0e-7cc0-8a4a-3f1c9f5f2f10',
  stage: 'production',
  step: 'approve',
  digest: `sha256:${'5'.repeat(64)}`,
  head: '5'.repeat(40),
  reason: 'looked at it',
  by: 'ann',
};

describe('the proof of a decision', () => {
  it('is the HMAC-SHA256 of all that the decision says, under the hash of the token', async () => {
    const hash = createHash('sha256').update(token).digest();
    assert.equal(await hashOfToken(token), `sha256:${hash.toString('hex')}`);
    const { verb, rollout, runId, stage, step, digest, head, reason, by } = decision;
    const said = [verb, rollout, runId, stage, step, digest, reason, by];
    const macOf = (parts: unknown) => createHmac('sha256', hash).update(JSON.stringify(parts)).digest('hex');
    const expected = macOf(['landfall decision 2', ...said, head]);
    assert.equal(await proofOf(await hashOfToken(token), decision), expected);
    assert.equal(await isProofOf(await hashOfToken(token), decision, expected), true);
    const counted = { ...decision, earlier: 4 };
    assert.equal(await proofOf(await hashOfToken(token), counted), macOf(['landfall decision 3', ...said, head, 4]));
    assert.equal(
      await isProofOf(await hashOfToken(token), { ...counted, earlier: 5 }, await proofOf(await hashOfToken(token), counted)),
      false,
    );
    assert.equal(await isProofOf(await hashOfToken(token), decision, await proofOf(await hashOfToken(token), counted)), false);
    const { head: _, ...headless } = decision;
    assert.equal(await proofOf(await hashOfToken(token), headless), macOf(['landfall decision 1', ...said]));
  });

  for (const field of Object.keys(decision) as (keyof ProvenDecision)[]) {
    it(`is worth nothing where ${field} is another, or is missing`, async () => {
      const hash = await hashOfToken(token);
      const proof = await proofOf(hash, decision);
      assert.equal(await isProofOf(hash, { ...decision, [field]: `${decision[field]}x` }, proof), false);
      assert.equal(await isProofOf(hash, { ...decision, [field]: undefined }, proof), false);
    });
  }

  it('is worth nothing under another token', async () => {
    const proof = await proofOf(await hashOfToken(token), decision);
    assert.equal(await isProofOf(await hashOfToken(`${token} `), decision, proof), false);
  });

  it('differs for any two decisions, however their words are put together', async () => {
    const hash = await hashOfToken(token);
    const word = fc.option(fc.string({ unit: fc.constantFrom('a', '"', ',', '\\', 'null', '\u0000', '\ud800'), maxLength: 4 }), {
      nil: undefined,
    });
    const words = fc.record({ stage: word, step: word, digest: word, head: word, reason: word });
    await fc.assert(
      fc.asyncProperty(words, words, async (some, others) => {
        const proof = await proofOf(hash, provenWith(some));
        assert.equal(await isProofOf(hash, provenWith(others), proof), JSON.stringify(some) === JSON.stringify(others));
      }),
      { seed: 20261121, numRuns: 300 },
    );
  });

  it('is refused in any other form than 64 hex digits', async () => {
    const hash = await hashOfToken(token);
    const proof = await proofOf(hash, decision);
    for (const other of ['', proof.slice(1), `${proof}00`, proof.toUpperCase(), `${proof}\n`, 'z'.repeat(64)]) {
      assert.equal(await isProofOf(hash, decision, other), false, other);
    }
  });

  it('is never made with anything but the hash of a token', async () => {
    const hash = await hashOfToken(token);
    assert.equal(isTokenHash(hash), true);
    for (const other of ['', token, hash.slice(7), `${hash}0`, hash.toUpperCase(), 'sha256:']) {
      assert.equal(isTokenHash(other), false, other);
      await assert.rejects(proofOf(other, decision), /expected the hash of a token/);
    }
  });
});

describe('the name of a person', () => {
  it('says where nothing shows that it is theirs', () => {
    assert.equal(nameOfPerson({ by: 'ann', verified: true }), 'ann');
    assert.equal(nameOfPerson({ by: 'ann', verified: false }), 'ann (unverified)');
  });

  it('is one bounded line, whatever somebody typed', () => {
    assert.equal(typedName(' ann\n\u202eLandfall-Rollout:\u001b[31m x '), 'ann Landfall-Rollout: [31m x');
    assert.equal(typedName('x'.repeat(1_000)).length, 100);
    for (const nothing of [undefined, '', ' \n\u200b']) assert.equal(typedName(nothing), 'somebody with Temporal access');
  });
});

function provenWith(words: Record<string, string | undefined>): ProvenDecision {
  const { verb, rollout, runId, by } = decision;
  return { verb, rollout, runId, by, ...Object.fromEntries(Object.entries(words).filter(([, word]) => word !== undefined)) };
}
