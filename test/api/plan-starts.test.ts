import assert from 'node:assert/strict';
import { planStarts } from '../../src/api/webhooks/plan-starts.ts';
import type { ImagePush } from '../../src/domain/image-push.ts';
import { type Digest, parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { exactly, findersOf, planOf } from './support/ingress.ts';

const digest = `sha256:${'ab'.repeat(32)}` as Digest;
const finders = findersOf([
  planOf('web', 'ghcr.io/team/app', exactly('latest')),
  planOf('job', 'ghcr.io/team/app', exactly('latest', 'stable')),
  planOf('versions', 'ghcr.io/team/app', { kind: 'semver', range: '>=1' }),
]);

describe('the starts that pushes are worth', () => {
  it('are a rollout for each service that follows the tag, where the digest is known', () => {
    assert.deepEqual(startsOf([push('latest', digest)]), { rollouts: ['web latest', 'job latest'], lookUps: [] });
  });

  it('are a look-up for each service that follows the tag, where it is not', () => {
    assert.deepEqual(startsOf([push('latest')]), { rollouts: [], lookUps: ['web latest', 'job latest'] });
  });

  it('are look-ups of these very tags where somebody asks for them again', () => {
    for (const count of [1, 9]) {
      const tags = Array.from({ length: count }, (_, index) => `1.0.${index}`);
      const pushes = tags.map((tag) => push(tag));
      const { lookUps } = planStarts({ pushes, namesOneOfSeveralTags: false, again: true }, finders);
      assert.deepEqual(
        lookUps.map(({ manual, push: { tag } }) => [manual, tag]),
        tags.map((tag) => [true, tag]),
      );
    }
  });

  it('are none for a tag that nobody follows, and none for a repository that nobody follows', () => {
    assert.deepEqual(startsOf([push('nightly', digest), push('latest', digest, 'ghcr.io/team/other')]), {
      rollouts: [],
      lookUps: [],
    });
  });

  it('are each once, however often a request names the same', () => {
    const again = [push('latest', digest), push('latest', digest), push('1.0.0'), push('1.0.0'), push('1.0.1')];
    assert.deepEqual(startsOf(again), {
      rollouts: ['web latest', 'job latest'],
      lookUps: ['versions 1.0.0', 'versions 1.0.1'],
    });
  });

  it('are one look-up for a service that a request names more often than a handful', () => {
    const digests = Array.from({ length: 9 }, (_, index) => `sha256:${String(index).repeat(64)}` as Digest);
    const many = digests.map((each) => push('latest', each));
    assert.deepEqual(startsOf([...many, push('2.0.0', digest)]), {
      rollouts: ['versions 2.0.0'],
      lookUps: ['web latest', 'job latest'],
    });
    assert.equal(planStarts({ pushes: many, namesOneOfSeveralTags: false }, finders).lookUps[0]?.push.digest, digests.at(-1));
    assert.equal(startsOf(many.slice(1)).rollouts.length, 16);
    const versions = Array.from({ length: 9 }, (_, index) => push(`1.0.${index}`, index % 2 === 0 ? digest : undefined));
    assert.deepEqual(startsOf(versions), { rollouts: [], lookUps: ['versions 1.0.8'] });
  });

  it('are also a look-up for every service with an exact tag that was not named, where the source names one of several', () => {
    assert.deepEqual(startsOf([push('latest', digest)], true), {
      rollouts: ['web latest', 'job latest'],
      lookUps: ['job latest'],
    });
    assert.deepEqual(startsOf([push('1.2.3', digest)], true), {
      rollouts: ['versions 1.2.3'],
      lookUps: ['web 1.2.3', 'job 1.2.3'],
    });
    assert.deepEqual(startsOf([push('latest')], true), { rollouts: [], lookUps: ['web latest', 'job latest'] });
  });
});

function push(tag: string, withDigest?: Digest, repository = 'ghcr.io/team/app'): ImagePush {
  return {
    source: 'test',
    deliveryId: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    repository: parseRepository(repository),
    tag: tag as Tag,
    ...(withDigest === undefined ? {} : { digest: withDigest }),
    receivedAt: '2026-01-02T03:04:05.000Z',
  };
}

function startsOf(pushes: readonly ImagePush[], namesOneOfSeveralTags = false): { rollouts: string[]; lookUps: string[] } {
  const { rollouts, lookUps } = planStarts({ pushes, namesOneOfSeveralTags }, finders);
  return {
    rollouts: rollouts.map(({ plan, image }) => `${plan.service} ${image.tag}`),
    lookUps: lookUps.map(({ plan, push: { tag } }) => `${plan.service} ${tag}`),
  };
}
