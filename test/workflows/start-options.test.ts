import assert from 'node:assert/strict';
import { rolloutStartOptions, searchAttributes } from '../../src/contracts/start-options.ts';
import { type Digest, parseRepository, type Tag } from '../../src/domain/image-reference.ts';

/** What Temporal on PostgreSQL has for a workflow id, and for each keyword. */
const longest = 255;

describe('the start of a rollout', () => {
  it('fits what Temporal on PostgreSQL keeps, for the longest service, repository and tag there are', () => {
    const image = {
      repository: parseRepository(`ghcr.io/${'r'.repeat(240)}`),
      tag: 't'.repeat(128) as Tag,
      digest: `sha256:${'ab'.repeat(32)}` as Digest,
    };
    const plan = {
      ...image,
      service: 's'.repeat(99),
      tags: { kind: 'exact', tags: [image.tag] },
      platforms: [],
      checks: [],
      stages: [],
      decideWithinMs: 1,
    } as const;
    const push = { ...image, source: 'test', deliveryId: 'd1', receivedAt: '2026-01-02T03:04:05.000Z' };
    const { workflowId, typedSearchAttributes } = rolloutStartOptions({ plan, image, push });
    assert.ok(workflowId.length <= longest, workflowId);
    assert.ok(typedSearchAttributes !== undefined && 'get' in typedSearchAttributes);
    const column = typedSearchAttributes.get(searchAttributes.image);
    assert.equal(column, `${image.repository}:${image.tag}`.slice(0, longest));
  });
});
