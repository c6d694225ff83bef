import { Context } from '@temporalio/activity';
import { type Client, WithStartWorkflowOperation } from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';
import type { Entry, EntryAnswer, Leave, Verified } from '../domain/lane/members.ts';
import type { TurnAnswer, TurnRequest } from '../domain/lane/turns.ts';
import {
  enterUpdate,
  type LookUp,
  leaveUpdate,
  type ReleaseAt,
  releaseUpdate,
  requestUpdate,
  verifiedUpdate,
} from '../workflows/messages.ts';
import { laneStartOptions, resolveStartOptions } from '../workflows/start-options.ts';

export interface LaneCall<At> {
  readonly service: string;
  readonly at: At;
}

/**
 * How rollouts talk to their lane: each an update that starts the lane where it does not run yet. They are local activities, one event
 * of history each; whatever one of them does is found done when it is repeated.
 */
export function createLaneCalls({ client }: { client: Client }) {
  const call =
    <Answer, At>(update: UpdateDefinition<Answer, [At]>) =>
    ({ service, at }: LaneCall<At>): Promise<Answer> =>
      client.workflow.executeUpdateWithStart(update, {
        args: [at],
        updateId: updateId(update.name),
        startWorkflowOperation: new WithStartWorkflowOperation('lane', laneStartOptions(service)),
      });
  return {
    enterLane: call<EntryAnswer, Entry>(enterUpdate),
    tellVerified: call<EntryAnswer, Verified>(verifiedUpdate),
    requestTurn: call<TurnAnswer, TurnRequest>(requestUpdate),
    releaseTurn: call<void, ReleaseAt>(releaseUpdate),
    leaveLane: call<void, Leave>(leaveUpdate),

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
