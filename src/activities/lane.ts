import { Context } from '@temporalio/activity';
import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import type { UpdateDefinition, Workflow } from '@temporalio/common';
import type { LaneActivities, LaneCall } from '../contracts/activities/lane.ts';
import * as messages from '../contracts/messages.ts';
import { believed } from '../contracts/seal.ts';
import { isUnsealed, type UnsealedValue } from '../contracts/sealed.ts';
import { globalHoldId, laneStartOptions, mergeQueueStartOptions, resolveStartOptions } from '../contracts/start-options.ts';
import type { ExternalHold, RolloutRun } from '../domain/lane/state.ts';
import type { WindowPlan } from '../domain/plan.ts';
import { windowsAt } from '../domain/windows/index.ts';
import { ifKnown } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

/**
 * How a rollout talks to its lane. A workflow cannot send an update to another workflow in Temporal, so each call is a local activity that
 * sends the update with a client, and starts the lane if it does not run yet. A local activity is one event of the rollout's history. Every
 * call can be repeated: the update id is the same for each attempt, so the lane answers what it answered first.
 */
export function createLaneCalls({ client }: Pick<Dependencies, 'client'>): LaneActivities {
  const send = async <Answer, Said, Target extends Workflow>(
    update: UpdateDefinition<Answer, [Said]>,
    said: Said,
    startWorkflowOperation: WithStartWorkflowOperation<Target>,
  ): Promise<Answer> => {
    const { workflowExecution, activityId } = Context.current().info;
    const updateId = `${workflowExecution?.runId}:${update.name}:${activityId}`;
    const answer = await client.workflow.executeUpdateWithStart(update, { args: [said], updateId, startWorkflowOperation });
    return believed(`the answer to ${update.name}`, answer);
  };
  const toLane = <Answer, Said>(update: UpdateDefinition<Answer, [Said]>, service: string, said: Said): Promise<Answer> =>
    send(update, said, new WithStartWorkflowOperation('lane', laneStartOptions(service)));
  const call =
    <Answer, Said>(update: UpdateDefinition<Answer, [Said]>) =>
    ({ service, request }: LaneCall<Said>): Promise<Answer> =>
      toLane(update, service, request);
  const callMergeQueue =
    <Answer>(update: UpdateDefinition<Answer, [RolloutRun]>) =>
    ({ repository, base, rollout, runId }: messages.MergeTurn): Promise<Answer> => {
      const start = new WithStartWorkflowOperation('mergeQueue', mergeQueueStartOptions(repository, base));
      return send(update, { rollout, runId }, start);
    };
  return {
    enterLane: call(messages.enterUpdate),
    reportVerified: call(messages.verifiedUpdate),
    requestTurn: call(messages.requestTurnUpdate),
    releaseTurn: call(messages.releaseTurnUpdate),
    leaveLane: call(messages.leaveUpdate),
    /** Windows and the global hold are read here, where there are a clock and a client; the lane decides what follows from them. */
    async beginChange({ service, request: { windows, ...change } }) {
      const externalHold = closedAt(windows, new Date()) ?? (await readGlobalHold(client));
      const begin = { ...change, ...(externalHold !== undefined && { externalHold }) };
      return await toLane(messages.beginChangeUpdate, service, begin);
    },
    reportRunning: call(messages.runningUpdate),
    reportRolledBack: call(messages.rolledBackUpdate),
    reportNotRolledBack: call(messages.notRolledBackUpdate),

    requestMergeTurn: callMergeQueue(messages.requestMergeTurnUpdate),
    releaseMergeTurn: callMergeQueue(messages.releaseMergeTurnUpdate),

    /** Has the followed tags looked up again, because what this rollout was about is not what the registry says any more. */
    async resolveAgain(lookUp) {
      await client.workflow.signalWithStart('resolve', resolveStartOptions(lookUp));
    },
  };
}

function closedAt(windows: readonly WindowPlan[], at: Date): ExternalHold | undefined {
  const answer = windowsAt(windows, at);
  if (answer.open) return undefined;
  const { reason, until } = answer;
  return { reason, window: true, ...(until !== undefined && { until: until.toISOString() }) };
}

/** Read from the memo, which Temporal answers without a worker. A workflow that does not run holds nothing. */
async function readGlobalHold(client: Client): Promise<ExternalHold | undefined> {
  const described = await ifKnown(client.workflow.getHandle(globalHoldId).describe());
  const hold = described?.memo?.hold as messages.GlobalHoldState['hold'] | UnsealedValue | null;
  if (hold == null || described?.status.name !== 'RUNNING') return undefined;
  // Better held once too often: it may be of a Landfall that sealed nothing.
  if (isUnsealed(hold)) return { reason: `everything is held by somebody without Landfall's key: ${hold.landfall.unsealed}` };
  return { reason: `everything is held by ${hold.by}${hold.reason === undefined ? '' : `: ${hold.reason}`}` };
}
