import type { Context } from '@temporalio/activity';
import type { SmokeRun } from '../platform/docker/labels.ts';

/** Whose containers and networks an activity starts. @throws Error outside of a workflow */
export function currentRun({ info }: Context): SmokeRun {
  if (info.workflowExecution === undefined)
    throw new Error(`${info.activityType} is an activity of a rollout, and is not started by itself`);
  const { workflowId, runId } = info.workflowExecution;
  return { rollout: workflowId, run: runId, activity: info.activityId, attempt: info.attempt };
}
