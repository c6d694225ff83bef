import {
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { RolloutState } from '../domain/rollout-state.ts';
import { Desk } from './desk.ts';
import { type Ending, endingIn } from './ending.ts';
import { LaneSide } from './lane-side.ts';
import { type RolloutStart, stateQuery } from './messages.ts';
import { RolloutRecord } from './rollout-record.ts';

/** One run of a rollout: what is known of it, where operators decide, and its side of the lane. */
export interface Rollout {
  readonly start: RolloutStart;
  readonly record: RolloutRecord;
  readonly desk: Desk;
  readonly lane: LaneSide;
  /** Tells the story until it ends, however it ends, and says so to everybody who has to know. */
  toItsEnd(story: () => Promise<Ending>): Promise<RolloutState>;
}

export function beginRollout(start: RolloutStart): Rollout {
  const record = new RolloutRecord(start);
  const story = new CancellationScope();
  const lane = new LaneSide(start, record);
  const desk = new Desk(start.plan, record, lane, () => story.cancel());
  setHandler(stateQuery, () => record.state);
  return {
    start,
    record,
    desk,
    lane,
    async toItsEnd(tell) {
      const ending = await story.run(tell).catch((error: unknown) => endingOf(error, desk));
      await CancellationScope.nonCancellable(async () => {
        record.end(ending.end, ending.reason);
        await lane.leave(ending);
        await condition(allHandlersFinished);
      });
      return record.state;
    },
  };
}

function endingOf(error: unknown, desk: Desk): Ending {
  const ending = endingIn(error);
  if (ending !== undefined) return ending;
  if (!isCancellation(error)) throw error;
  return desk.aborted ?? { end: 'aborted', reason: `workflow ${workflowInfo().workflowId} was cancelled in Temporal` };
}
