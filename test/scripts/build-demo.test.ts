import assert from 'node:assert/strict';
import { blockedProblems, comparison, deliveryProblems, recordText, timesOf } from '../../scripts/demo/build/outcomes.ts';
import type { BuildRecord } from '../../scripts/demo/build/record.ts';
import type { BuildState } from '../../src/contracts/messages.ts';
import { parseReference } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';

const start = '2026-01-01T00:00:00.000Z';
const { repository, tag, digest } = parseReference(`host/demo/web:latest@sha256:${'a'.repeat(64)}`);
assert.ok(tag && digest);
const image = { repository, tag, digest };
const known = { service: 'web', image, proposals: {}, startedAt: start, changedAt: start } as const;
const build: BuildState = {
  ...{ ...known, status: 'pushed', outputs: { built: true, pushed: true, digest } },
  steps: [{ step: 'push', status: 'passed', endedAt: '2026-01-01T00:00:04.000Z' }],
};
const rollout: RolloutState = {
  ...{ ...known, status: 'delivered' },
  steps: [{ step: 'deploy', status: 'passed', endedAt: '2026-01-01T00:00:09.000Z' }],
};
const record: BuildRecord = {
  ...{ commit: 'c0ffee', build: 'build:web:c0ffee', deliveries: ['7', '7'], rollout: 'rollout:web:latest:aaaaaaaaaaaa', digest },
  startedWith: { source: 'build', buildId: 'build:web:c0ffee', commit: 'c0ffee' },
  tags: ['latest', 'c0ffee'],
  change: { commit: 'f00d', line: `image: host/demo/web:latest@${digest}` },
  sight: { container: '1', image: `host/demo/web:latest@${digest}`, health: '200 well' },
};

describe('the demo of builds', () => {
  it('is content with one commit and one digest wherever it looks, and with nothing less', () => {
    assert.deepEqual(deliveryProblems(record, { build, rollout }), []);
    const problem = (changed: Partial<BuildRecord>) => deliveryProblems({ ...record, ...changed }, { build, rollout }).join('\n');
    assert.match(problem({ digest: 'sha256:b' }), /the digest that was built to be sha256:b/);
    assert.match(problem({ deliveries: ['7', '8'] }), /delivery of the rollout to be 7, found 8/);
    assert.match(problem({ startedWith: { source: 'distribution' } }), /started by to be build:web:c0ffee, found undefined/);
    assert.match(problem({ sight: { ...record.sight, image: 'host/demo/web:1' } }), /found host\/demo\/web:1/);
    assert.match(problem({ sight: { ...record.sight, health: '404 none' } }), /healthy, found 404 none/);
    assert.match(deliveryProblems(record, { build, rollout: undefined }).join(), /the rollout to be delivered, found undefined/);
    assert.match(recordText(record), /started by build:web:c0ffee for commit c0ffee/);
  });

  it('wants a broken commit to be blocked at its test, and the world as it was', () => {
    const details = [{ title: 'Smoke-tested', passed: false, text: '', log: 'fatal: /health would answer: no database' }];
    const blocked: BuildState = { ...build, status: 'blocked', steps: [{ step: 'smoke', status: 'blocked', details }] };
    const { digest: _none, ...after } = record;
    assert.deepEqual(blockedProblems(blocked, record, after), []);
    assert.match(blockedProblems(build, record, after).join(), /blocked at smoke, found pushed/);
    assert.match(blockedProblems(blocked, record, { ...after, tags: ['latest'] }).join(), /expected tags as before/);
    assert.match(blockedProblems(blocked, record, record).join(), /nothing in the registry, found sha256:a/);
  });

  it('sets the times of both beside each other', () => {
    const ours = timesOf({ at: Date.parse(start) }, { build, rollout });
    assert.deepEqual(ours, { pushed: 4000, deployed: 9000 });
    const lines = comparison(ours, { pushed: 5000, deployed: 6000 }, 5).join('\n');
    assert.match(lines, /registry +4\.0 s +5\.0 s +0\.80\n.*in production +9\.0 s +6\.0 s +1\.50/);
  });
});
