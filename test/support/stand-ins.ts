import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import { createDecisions } from '../../src/activities/decisions.ts';
import { createFollowUps } from '../../src/activities/follow-up.ts';
import { createLaneCalls } from '../../src/activities/lane.ts';
import { taskQueues } from '../../src/contracts/start-options.ts';
import type { RolloutRun } from '../../src/domain/lane/state.ts';
import { runActivity } from './activity.ts';
import { heardQuery } from './stand-in-workflows.ts';
import type { TestNamespace } from './temporal.ts';
import { eventually } from './wait.ts';
import { runWorkers, type TestWorkers } from './worker.ts';

type LaneActivities = ReturnType<typeof createLaneCalls> & ReturnType<typeof createFollowUps>;

/** Workers of the two queues that lanes, lines, merge queues and rollouts use, with rollouts that only listen. */
export async function startStandIns(temporal: TestNamespace, overrides: Partial<LaneActivities> = {}): Promise<TestWorkers> {
  const activities = { ...laneActivities(temporal), ...withoutOperators, ...overrides };
  const times = { shutdownGraceTime: '1s', shutdownForceTime: '5s' };
  const queues = [taskQueues.main, taskQueues.lanes];
  const entry = 'test/support/stand-in-workflows.ts';
  return await runWorkers(
    temporal,
    queues.map((taskQueue) => ({ taskQueue, entry, activities, ...times })),
  );
}

/** No operator has a token: every name may be typed. */
const withoutOperators = createDecisions({
  operators: [],
  secrets: () => assert.fail('no secret is needed'),
  vouchKey: () => assert.fail('nobody logs in'),
});

export function laneActivities({ client }: TestNamespace): LaneActivities {
  return { ...createLaneCalls({ client }), ...createFollowUps({ client, plansFor: () => [] }) };
}

let calls = 0;

/** Calls an activity as a rollout does: every call has an id of its own. */
export function callAs<Input, Answer>(
  run: RolloutRun,
  activity: (input: Input) => Promise<Answer>,
  input: Input,
  activityId = `${++calls}`,
): Promise<Answer> {
  return runActivity(activity, input, {
    activityId,
    workflowExecution: { workflowId: run.rollout, runId: run.runId },
  });
}

export async function standIn(
  temporal: TestNamespace,
  workflowId: string,
  input: unknown = {},
): Promise<RolloutRun & { handle: WorkflowHandle }> {
  const started = await temporal.client.workflow.start('rollout', { workflowId, taskQueue: taskQueues.main, args: [input] });
  const runId = started.firstExecutionRunId;
  return { rollout: workflowId, runId, handle: temporal.client.workflow.getHandle(workflowId, runId) };
}

/** Waits until a stand-in has heard something. */
export function untilHeard(handle: WorkflowHandle, pattern: RegExp): Promise<true> {
  return eventually(`${handle.workflowId} to hear ${pattern}`, async () => {
    const heard = await handle.query(heardQuery);
    return heard.some((line) => pattern.test(line));
  });
}
