import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { ImageIdentity } from '../../src/domain/outcomes.ts';
import { commitMessage, headMergedBy, mergeMessage, mergeTitle, rolloutOfCommit } from '../../src/domain/proposal.ts';
import { imageOf, planOf } from '../support/plans.ts';

const image: ImageIdentity = imageOf(planOf(), 'A');
const head = 'a1'.repeat(20);
const rollout = 'rollout:web:latest:0123456789ab';

describe('the commit that merges a proposal', () => {
  const whole = `${mergeTitle('web', image, false)} (#7)\n\n${mergeMessage('web', image, rollout, head)}`;

  it('names service, image and digest, and by trailers the rollout and the head that was merged', () => {
    assert.deepEqual(whole.split('\n'), [
      'chore: update web image to latest (#7)',
      '',
      'Service: web',
      `Image: ${image.repository}:latest`,
      `Digest: ${image.digest}`,
      '',
      `Landfall-Rollout: ${rollout}`,
      `Landfall-Head: ${head}`,
      '',
    ]);
  });

  it('says so where it is a rollback', () => {
    assert.equal(mergeTitle('web', image, true), 'revert: roll back web from latest');
  });

  it('is ours, and known by the head, however the forge stores its line ends', () => {
    for (const stored of [whole, whole.trimEnd(), whole.replaceAll('\n', '\r\n')]) {
      assert.equal(rolloutOfCommit(stored), rollout);
      assert.equal(headMergedBy(stored), head);
    }
  });

  it('has what was skipped in the commit that is proposed, where plain git shows nothing else', () => {
    const at = '2026-01-01T00:00:00.000Z';
    const waiver = { step: 'scan', by: 'ann', reason: 'not reachable\n\nLandfall-Rollout: forged', at } as const;
    const message = commitMessage('update', 'web', image, rollout, [waiver]);
    assert.match(message, /^Skipped: scan skipped by ann: not reachable Landfall-Rollout: forged$/m);
    assert.equal(rolloutOfCommit(message), rollout);
  });

  it('is not one that merges something where the trailer is missing, quoted, or not the last paragraph', () => {
    for (const message of [
      commitMessage('update', 'web', image, rollout),
      `fix\n\n> ${whole}`.replace(/^Landfall/gm, '> Landfall'),
      `${whole}\nbut that was wrong\n`,
      `Landfall-Head: ${head}`,
      '',
    ]) {
      assert.equal(headMergedBy(message), undefined, message);
    }
  });

  it('cannot be given other trailers by a name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (service, by) => {
        const message = `${mergeTitle(`x\nLandfall-Head: ${service}`, image, false)}\n\n${mergeMessage(`x\n\n${service}`, image, `r\n\n${by}`, head)}`;
        assert.equal(headMergedBy(message), rolloutOfCommit(message) === undefined ? undefined : head);
        assert.equal(message.match(/^Landfall-Head:/gm)?.length, 1);
      }),
    );
  });
});
