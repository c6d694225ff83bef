import {
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  proxyLocalActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../../contracts/activities/index.ts';
import { type RolloutStart, stateQuery } from '../../contracts/messages.ts';
import type { Decision, RolloutState } from '../../domain/rollout-state.ts';
import { Approvals } from './approvals.ts';
import { Desk } from './decisions.ts';
import { type Ending, endingIn } from './ending.ts';
import { LaneSide, type RollbackTurn } from './lane-client.ts';
import { Tell } from './notifier.ts';
import { Patience } from './poller.ts';
import { RolloutRecord } from './record.ts';
import { closeRejected } from './steps/closed.ts';
import { failureOf } from './steps/take-step.ts';

/** One run of a rollout: what is known of it, where operators decide, and its side of the lane. */
export interface Rollout {
  /** Workflow id. */
  readonly id: string;
  readonly start: RolloutStart;
  /** The stages that were changed, and are as they should be. */
  readonly delivered: string[];
  readonly record: RolloutRecord;
  readonly desk: Desk;
  readonly approvals: Approvals;
  readonly lane: LaneSide;
  readonly patience: Patience;
  readonly tell: Tell;
  /** Tells the story until it ends, however it ends, and says so to everybody who has to know. */
  toItsEnd(happen: () => Promise<Ending>): Promise<RolloutState>;
}

const { whoDecided } = proxyLocalActivities<Pick<Activities, 'whoDecided'>>({
  startToCloseTimeout: '5s',
  retry: { maximumAttempts: 3 },
});

export function beginRollout(start: RolloutStart, rollback?: RollbackTurn): Rollout {
  const record = new RolloutRecord(start, rollback === undefined ? 'rollout' : 'rollback');
  const story = new CancellationScope();
  const lane = new LaneSide(start, record, rollback);
  const { workflowId: rollout, runId } = workflowInfo();
  const prove = async (verb: string, decision: Decision): Promise<string> =>
    (await whoDecided({ rollout, runId, verb, decision })).by;
  const desk = new Desk(start.plan, record, lane, prove, () => story.cancel());
  const tell = new Tell(start, record);
  setHandler(stateQuery, () => record.state);
  const run: Rollout = {
    id: rollout,
    start,
    delivered: [],
    record,
    desk,
    approvals: new Approvals(start, record, prove),
    lane,
    patience: new Patience(),
    tell,
    async toItsEnd(happen) {
      const { reason: said, ...end } = await story.run(happen).catch((error: unknown) => endingOf(error, desk));
      const reason = record.withWaivers(said);
      const ending: Ending = { ...end, ...(reason !== undefined && { reason }) };
      await CancellationScope.nonCancellable(async () => {
        record.end(ending.end, ending.reason);
        tell.now(ending.end, {
          ...(ending.reason !== undefined && { reason: ending.reason }),
          ...(ending.stage !== undefined && { stage: ending.stage }),
        });
        await closeRejected(run, ending);
        await lane.leave(ending);
        await tell.done();
        await condition(allHandlersFinished);
      });
      return record.state;
    },
  };
  return run;
}

function endingOf(error: unknown, desk: Desk): Ending {
  const ending = endingIn(error);
  if (ending !== undefined) return ending;
  // Whatever no step has made a question of: a workflow that failed would never leave its lane.
  if (!isCancellation(error)) return { end: 'failed', reason: failureOf(error).message };
  return desk.aborted ?? { end: 'aborted', reason: `workflow ${workflowInfo().workflowId} was cancelled in Temporal` };
}
