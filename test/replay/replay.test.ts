import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from '@temporalio/worker';
import { DeterminismViolationError } from '@temporalio/workflow';
import { replayOptions } from '../support/worker.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const recorded = readdirSync(folder).filter((name) => name.endsWith('.json'));

/** The first event names it. */
function workflowOf({ events }: { events: { workflowExecutionStartedEventAttributes?: { workflowId: string } }[] }) {
  return events[0]?.workflowExecutionStartedEventAttributes?.workflowId ?? assert.fail('a history without a start');
}

describe('recorded histories', function () {
  this.timeout(60_000);

  it('are there: of every workflow', () => {
    for (const type of ['rollout', 'build', 'lane', 'resolve', 'rollback', 'globalHold', 'mergeQueue', 'notify', 'search'])
      assert.ok(
        recorded.some((name) => name.startsWith(type)),
        `none of ${type}`,
      );
  });

  for (const name of recorded) {
    it(`${name} is replayed by the workflows of today`, async () => {
      const history = JSON.parse(readFileSync(`${folder}${name}`, 'utf8'));
      await Worker.runReplayHistory({ ...(await replayOptions()), replayName: name }, history, workflowOf(history));
    });
  }

  it('that were sealed are believed in the place of their own workflow alone', async () => {
    const history = JSON.parse(readFileSync(`${folder}rollout-sealed.json`, 'utf8'));
    const elsewhere = Worker.runReplayHistory(await replayOptions(), history, 'rollout:web:latest:another');
    await assert.rejects(elsewhere, /the start of rollout is not sealed with Landfall's key: its seal does not fit/);
  });

  it('that tell another story are refused', async () => {
    const history = JSON.parse(readFileSync(`${folder}rollout-proposed.json`, 'utf8'));
    const scheduled = history.events.find(
      (event: { eventType: string }) => event.eventType === 'EVENT_TYPE_ACTIVITY_TASK_SCHEDULED',
    );
    scheduled.activityTaskScheduledEventAttributes.activityType.name = 'deploy';
    const replaying = Worker.runReplayHistory({ ...(await replayOptions()), replayName: 'another story' }, history);
    await assert.rejects(replaying, DeterminismViolationError);
  });
});
