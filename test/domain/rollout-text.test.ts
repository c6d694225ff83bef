import assert from 'node:assert/strict';
import { type RolloutState, rolloutInMarkdown } from '../../src/domain/rollout-state.ts';
import { imageOf, planOf } from '../support/plans.ts';

const time = '2026-01-01T00:00:00Z';
const rollout: RolloutState = {
  service: 'web',
  image: imageOf(planOf(), 'shown'),
  status: 'waiting',
  steps: [
    { step: 'verify', status: 'passed', reason: 'the registry has it' },
    { step: 'approve', stage: 'production', status: 'waiting', reason: 'waits for 1 of ann' },
  ],
  proposals: {},
  startedAt: time,
  changedAt: time,
};

describe('a rollout on Temporal’s page', () => {
  it('shows its steps, and which decision is waited for', () => {
    const text = rolloutInMarkdown(rollout);
    assert.match(text, /✅ verify: the registry has it/);
    assert.match(text, /approve \(production\): waits for 1 of ann/);
    assert.match(text, /Waiting for an approval of production: `approve` or `reject`/);
    assert.doesNotMatch(text, /`retry`/);
  });

  it('says what can be decided where it is blocked', () => {
    const blocked = rolloutInMarkdown({
      ...rollout,
      status: 'blocked',
      steps: [{ step: 'scan', status: 'blocked', reason: 'no' }],
    });
    assert.match(blocked, /⛔ scan: no/);
    assert.match(blocked, /Waiting for a decision: `retry`, `skip`/);
  });
});
