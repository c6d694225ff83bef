import assert from 'node:assert/strict';
import { createTimeline } from '../../src/cli/timeline.ts';
import { parseReference } from '../../src/domain/image-reference.ts';
import type { RunState } from '../../src/domain/rollout-state.ts';

const time = '2026-01-01T00:00:00Z';

describe('the timeline', () => {
  it('says each step of a build once, whatever becomes known of its image meanwhile', () => {
    const { repository, tag, digest } = parseReference(`host/web:1@sha256:${'a'.repeat(64)}`);
    assert.ok(tag && digest);
    const lines: string[] = [];
    const seen = createTimeline((line) => lines.push(line.replace(/^.* s {2}/, '')));
    const built: RunState = {
      ...{ service: 'web', status: 'running', proposals: {}, startedAt: time, changedAt: time },
      image: { repository, tag },
      steps: [{ step: 'build', status: 'passed' }],
    };
    seen(built);
    seen({ ...built, image: { ...built.image, digest }, steps: [...built.steps, { step: 'push', status: 'passed' }] });
    seen({ ...built, service: 'match-list-processor' });
    assert.deepEqual(lines, ['web     ✔ build passed', 'web     ✔ push passed', 'match-list-processor ✔ build passed']);
  });
});
