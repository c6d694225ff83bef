import { Context } from '@temporalio/activity';
import { type Client, WithStartWorkflowOperation, WorkflowNotFoundError } from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';
import type { LaneActivities, LaneCall } from '../contracts/activities/lane.ts';
import {
  beginChangeUpdate,
  enterUpdate,
  type GlobalHoldState,
  leaveUpdate,
  type MergeTurn,
  type MergeTurnAnswer,
  notRolledBackUpdate,
  type ResolveRequest,
  releaseMergeTurnUpdate,
  releaseTurnUpdate,
  requestMergeTurnUpdate,
  requestTurnUpdate,
  rolledBackUpdate,
  runningUpdate,
  type TurnRelease,
  verifiedUpdate,
} from '../contracts/messages.ts';
import { globalHoldId, laneStartOptions, mergeQueueStartOptions, resolveStartOptions } from '../contracts/start-options.ts';
import type { EntryAnswer, LaneEntry, LaneExit, VerifiedReport } from '../domain/lane/members.ts';
import type { RolloutRun } from '../domain/lane/run.ts';
import type { BeginAnswer, BeginChange, NotRolledBackReport, RolledBackReport, RunningReport } from '../domain/lane/running.ts';
import type { ExternalHold } from '../domain/lane/stages.ts';
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
    ({ service, request }: LaneCall<At>): Promise<Answer> =>
      tellLane(update, service, request);
  const tellMergeQueue = <Answer>(update: UpdateDefinition<Answer, [RolloutRun]>, turn: MergeTurn): Promise<Answer> => {
    const { repository, base, rollout, runId } = turn;
    return client.workflow.executeUpdateWithStart(update, {
      args: [{ rollout, runId }],
      updateId: updateId(update.name),
      startWorkflowOperation: new WithStartWorkflowOperation('mergeQueue', mergeQueueStartOptions(repository, base)),
    });
  };
  return {
    enterLane: call<EntryAnswer, LaneEntry>(enterUpdate),
    reportVerified: call<EntryAnswer, VerifiedReport>(verifiedUpdate),
    requestTurn: call<TurnAnswer, TurnRequest>(requestTurnUpdate),
    releaseTurn: call<void, TurnRelease>(releaseTurnUpdate),
    leaveLane: call<void, LaneExit>(leaveUpdate),
    /** Windows and the global hold are read here, where there are a clock and a client; the lane decides what follows from them. */
    async beginChange({ service, request: { windows, ...change } }: LaneCall<BeginChange>): Promise<BeginAnswer> {
      const externalHold = closedAt(windows, new Date()) ?? (await readGlobalHold(client));
      return await tellLane(beginChangeUpdate, service, { ...change, ...(externalHold !== undefined && { externalHold }) });
    },
    reportRunning: call<void, RunningReport>(runningUpdate),
    reportRolledBack: call<void, RolledBackReport>(rolledBackUpdate),
    reportNotRolledBack: call<void, NotRolledBackReport>(notRolledBackUpdate),

    requestMergeTurn: (turn: MergeTurn): Promise<MergeTurnAnswer> => tellMergeQueue(requestMergeTurnUpdate, turn),
    releaseMergeTurn: (turn: MergeTurn): Promise<void> => tellMergeQueue(releaseMergeTurnUpdate, turn),

    /** Has the followed tags looked up again, because what this rollout was about is not what the registry says any more. */
    async resolveAgain(lookUp: ResolveRequest): Promise<void> {
      await client.workflow.signalWithStart('resolve', resolveStartOptions(lookUp));
    },
  };
}

/** The same for every attempt of one call of one rollout, so that a repeated call gets the first one's answer. */
function updateId(name: string): string {
  const { workflowExecution, activityId } = Context.current().info;
  return `${workflowExecution?.runId}:${name}:${activityId}`;
}

function closedAt(windows: readonly WindowPlan[], at: Date): ExternalHold | undefined {
  const answer = windowsAt(windows, at);
  if (answer.open) return undefined;
  const { reason, until } = answer;
  return { reason, ...(until !== undefined && { until: until.toISOString() }) };
}

/** Read from the memo, which Temporal answers without a worker. A workflow that does not run holds nothing. */
async function readGlobalHold(client: Client): Promise<ExternalHold | undefined> {
  try {
    const { memo, status } = await client.workflow.getHandle(globalHoldId).describe();
    const hold = memo?.hold as GlobalHoldState['hold'] | null | undefined;
    if (hold == null || status.name !== 'RUNNING') return undefined;
    return { reason: `everything is held by ${hold.by}${hold.reason === undefined ? '' : `: ${hold.reason}`}` };
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
