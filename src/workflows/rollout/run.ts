import {
  allHandlersFinished,
  CancellationScope,
  condition,
  isCancellation,
  makeContinueAsNewFunc,
  proxyLocalActivities,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../../contracts/activities/index.ts';
import { type RolloutStart, runStateQuery } from '../../contracts/messages.ts';
import { rolloutStartOptions } from '../../contracts/start-options.ts';
import { fingerprintOf } from '../../domain/fingerprint.ts';
import { type Plan, withStagesOf } from '../../domain/plan.ts';
import type { RolloutState } from '../../domain/rollout-state.ts';
import { OperatorDecisions } from './decisions.ts';
import { LaneClient, type RollbackTurn } from './lane-client.ts';
import { type Ending, plannedSteps, RolloutEnded, RolloutRecord } from './record.ts';
import { tidy } from './steps/propose.ts';
import { failureOf, type RolloutContext, stageRunOf } from './steps/take-step.ts';

/** Runs the story of a rollout until it ends, however it ends. What was proposed in vain is closed, people and the lane learn of it. */
export async function runToItsEnd(
  start: RolloutStart,
  story: (context: RolloutContext) => Promise<Ending>,
  rollback?: RollbackTurn,
): Promise<RolloutState> {
  const scope = new CancellationScope();
  const context = openContext(start, () => scope.cancel(), rollback);
  const { record, decisions, lane } = context;
  const found = await scope.run(() => story(context)).catch((error: unknown) => endingOf(error, decisions));
  await CancellationScope.nonCancellable(async () => {
    const ending = record.end(found);
    const { end, reason, stage } = ending;
    record.notify(end, { ...(reason !== undefined && { reason }), ...(stage !== undefined && { stage }) });
    await closeRejected(context, ending);
    await lane.leave(ending);
    await record.flushNotices();
    await condition(allHandlersFinished);
  });
  if (found.renewed !== undefined) await beginAnew({ ...start, plan: found.renewed });
  return record.state as RolloutState;
}

/** Begins to answer queries, updates and signals, too. @param cancel what an operator's `abort` does */
function openContext(start: RolloutStart, cancel: () => void, rollback?: RollbackTurn): RolloutContext {
  const record =
    rollback === undefined
      ? new RolloutRecord(start, plannedSteps(start), fingerprintOf(start.plan))
      : new RolloutRecord(start, []);
  const mayRenew = rollback === undefined;
  const decisions = new OperatorDecisions(start, record, cancel, mayRenew);
  const lane = new LaneClient(start, record, decisions, rollback);
  lane.handleSignals();
  decisions.handleUpdates();
  setHandler(runStateQuery, () => record.state);
  const { service, repository } = start.plan;
  const planNow = async () => partOf(start, await local.planNow({ service, repository, tag: start.image.tag }));
  return { start, record, decisions, lane, ...(mayRenew && { planNow }) };
}

const local = proxyLocalActivities<Pick<Activities, 'planNow'>>({
  startToCloseTimeout: '10s',
  retry: { maximumInterval: '10s' },
});

/** Of a promotion, the stage that it is for: the others have images of their own. */
function partOf({ plan, promotion }: RolloutStart, now: Plan | undefined): Plan | undefined {
  return promotion === undefined || now === undefined ? now : withStagesOf(now, plan);
}

/** The next run of the same rollout: its columns begin as those of a new one. */
async function beginAnew(start: RolloutStart): Promise<never> {
  const again = { ...start, manual: true };
  const { typedSearchAttributes, memo } = rolloutStartOptions(again);
  return await makeContinueAsNewFunc<(start: RolloutStart) => Promise<RolloutState>>({ typedSearchAttributes, memo })(again);
}

export function endingOf(error: unknown, decisions: OperatorDecisions): Ending {
  if (error instanceof RolloutEnded) return error.ending;
  // An error that no step turned into a question: a workflow that failed would never leave its lane.
  if (!isCancellation(error)) return { end: 'failed', reason: failureOf(error).message };
  return decisions.aborted ?? { end: 'aborted', reason: `workflow ${workflowInfo().workflowId} was cancelled in Temporal` };
}

/**
 * Closes what a rejected or aborted rollout proposed and did not merge. The turn is still held, so the proposal is not somebody else's by
 * now. One that begins anew will want it.
 */
async function closeRejected(context: RolloutContext, { end, renewed }: Ending): Promise<void> {
  const { start, record, lane } = context;
  const isInVain = end === 'rejected' || (end === 'aborted' && renewed === undefined);
  if (!isInVain || lane.image === undefined) return;
  const { proposals } = record.state;
  for (const stage of start.plan.stages) {
    const proposal = proposals[stage.name];
    if (proposal === undefined || record.delivered.includes(stage.name)) continue;
    await tidy({ ...stageRunOf(context, stage, lane.image).input, proposal, close: true });
  }
}
