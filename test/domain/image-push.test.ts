import assert from 'node:assert/strict';
import { claimedMark, type ImagePush, pushFor } from '../../src/domain/image-push.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import { digestOf, imageOf, planOf, pushOf } from '../support/plans.ts';

const [mine, other] = [digestOf('mine'), digestOf('another')];
const tag = 'latest' as Tag;
const v1 = 'v1' as Tag;
const proven = { by: 'forge', fields: ['actor'], actorOf: 'github' } as const;
const trigger = { by: 'ann', proof: 'p' };

describe('a push as the reason of a rollout', () => {
  const image = imageOf(planOf(), 'mine');
  const { digest: _, ...untold } = { ...pushOf(image), actor: 'ann', proven, trigger };
  const told: ImagePush = { ...untold, digest: mine };

  it('proves who pushed only of what was pushed: its digest, or where none was told, its tag as long as that has not moved', () => {
    assert.equal(pushFor(told, { tag, digest: mine }, false), told);
    // The same digest under another tag was pushed together with it.
    assert.equal(pushFor(told, { tag: v1, digest: mine }, true), told);
    assert.equal(pushFor(untold, { tag, digest: other }, false), untold);
    for (const [push, found, isLater] of [
      [told, { tag, digest: other }, false],
      [told, { tag, digest: other }, true],
      [untold, { tag: v1, digest: mine }, false],
      [untold, { tag, digest: mine }, true],
    ] as const) {
      const { proven: _proven, trigger: _trigger, ...rest } = push;
      assert.deepEqual(pushFor(push, found, isLater), { ...rest, trigger: { by: 'ann' } });
    }
  });

  it('is marked as claimed where nothing proves it', () => {
    assert.equal(claimedMark('actor', { proven }), '');
    assert.equal(claimedMark('commit', { proven }), ' (claimed)');
    assert.equal(claimedMark('actor', {}), ' (claimed)');
  });
});
