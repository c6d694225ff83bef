import { Context } from '@temporalio/activity';
import { type Client, WithStartWorkflowOperation, WorkflowNotFoundError } from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';
import type { LaneActivities, LaneCall } from '../contracts/activities/lane.ts';
import {
  beginUpdate,
  enterUpdate,
  giveBackUpdate,
  giveMergeTurnBackUpdate,
  type LineState,
  type LookUp,
  leaveUpdate,
  type MergeTurn,
  type MergeTurnAnswer,
  notRolledBackUpdate,
  type ReleaseAt,
  ranUpdate,
  requestUpdate,
  rolledBackUpdate,
  takeMergeTurnUpdate,
  verifiedUpdate,
} from '../contracts/messages.ts';
import { laneStartOptions, lineId, mergeQueueStartOptions, resolveStartOptions } from '../contracts/start-options.ts';
import type { Entry, EntryAnswer, Leave, Verified } from '../domain/lane/members.ts';
import type { BeginAnswer, BeginChange, NotRolledBackAt, RanAt, RolledBackAt } from '../domain/lane/running.ts';
import type { Shut } from '../domain/lane/stages.ts';
import type { Run } from '../domain/lane/state.ts';
import type { TurnAnswer, TurnRequest } from '../domain/lane/turns.ts';
import type { WindowPlan } from '../domain/plan.ts';
import { windowsAt } from '../domain/windows.ts';

/**
 * How a rollout talks to its lane. A workflow cannot send an update to another workflow in Temporal, so each call is a local activity that
 * sends the update with a client, and starts the lane if it does not run yet. A local activity is one event of the rollout's history. Every
 * call can be repeated: the update id is the same for each attempt, so the lane answers what it answered first.
 */
export function createLaneCalls({ client }: { client: Client }): LaneActivities {
  const tellLane = <Answer, Said>(update: UpdateDefinition<Answer, [Said]>, service: string, said: Said): Promise<Answer> =>
    client.workflow.executeUpdateWithStart(update, {
      args: [said],
      updateId: updateId(update.name),
      startWorkflowOperation: new WithStartWorkflowOperation('lane', laneStartOptions(service)),
    });
  const call =
    <Answer, At>(update: UpdateDefinition<Answer, [At]>) =>
    ({ service, at }: LaneCall<At>): Promise<Answer> =>
      tellLane(update, service, at);
  const tellMergeQueue = <Answer>(update: UpdateDefinition<Answer, [Run]>, turn: MergeTurn): Promise<Answer> => {
    const { repository, base, rollout, runId } = turn;
    return client.workflow.executeUpdateWithStart(update, {
      args: [{ rollout, runId }],
      updateId: updateId(update.name),
      startWorkflowOperation: new WithStartWorkflowOperation('mergeQueue', mergeQueueStartOptions(repository, base)),
    });
  };
  return {
    enterLane: call<EntryAnswer, Entry>(enterUpdate),
    tellVerified: call<EntryAnswer, Verified>(verifiedUpdate),
    requestTurn: call<TurnAnswer, TurnRequest>(requestUpdate),
    releaseTurn: call<void, ReleaseAt>(giveBackUpdate),
    leaveLane: call<void, Leave>(leaveUpdate),
    /** Windows and line are looked at here, where there are a clock and a way to Temporal; what follows from them the lane knows. */
    async beginChange({ service, at: { windows, ...at } }: LaneCall<BeginChange>): Promise<BeginAnswer> {
      const shut = closedAt(windows, new Date()) ?? (await stoppedLine(client));
      return await tellLane(beginUpdate, service, { ...at, ...(shut !== undefined && { shut }) });
    },
    tellRunning: call<void, RanAt>(ranUpdate),
    tellRolledBack: call<void, RolledBackAt>(rolledBackUpdate),
    tellNotRolledBack: call<void, NotRolledBackAt>(notRolledBackUpdate),

    takeMergeTurn: (turn: MergeTurn): Promise<MergeTurnAnswer> => tellMergeQueue(takeMergeTurnUpdate, turn),
    giveMergeTurnBack: (turn: MergeTurn): Promise<void> => tellMergeQueue(giveMergeTurnBackUpdate, turn),

    /** Has the followed tags looked up again, because what this rollout was about is not what the registry says any more. */
    async lookAgain(lookUp: LookUp): Promise<void> {
      await client.workflow.signalWithStart('resolve', resolveStartOptions(lookUp));
    },
  };
}

/** The same for every attempt of one call of one rollout, so that a repeated call gets the first one's answer. */
function updateId(name: string): string {
  const { workflowExecution, activityId } = Context.current().info;
  return `${workflowExecution?.runId}:${name}:${activityId}`;
}

function closedAt(windows: readonly WindowPlan[], at: Date): Shut | undefined {
  const answer = windowsAt(windows, at);
  if (answer.open) return undefined;
  const { reason, until } = answer;
  return { reason, ...(until !== undefined && { until: until.toISOString() }) };
}

/** Read from the memo, which Temporal answers without a worker. A line that does not run stops nothing. */
async function stoppedLine(client: Client): Promise<Shut | undefined> {
  try {
    const { memo, status } = await client.workflow.getHandle(lineId).describe();
    const hold = memo?.hold as LineState['hold'] | null | undefined;
    if (hold == null || status.name !== 'RUNNING') return undefined;
    return { reason: `the line was stopped by ${hold.by}${hold.reason === undefined ? '' : `: ${hold.reason}`}` };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
