import { allHandlersFinished, CancellationScope, condition, isCancellation, workflowInfo } from '@temporalio/workflow';
import type { RolloutStart } from '../../contracts/messages.ts';
import type { RolloutState } from '../../domain/rollout-state.ts';
import { failureOf } from '../failure.ts';
import { openContext, type RolloutContext } from './context.ts';
import type { OperatorDecisions } from './decisions.ts';
import { type Ending, endingIn } from './ending.ts';
import type { RollbackTurn } from './lane-client.ts';
import { closeRejected } from './steps/proposal-state.ts';

/**
 * Runs the story of a rollout until it ends, however it ends: the record and the lane learn of it, people are told, and what was proposed
 * in vain is closed.
 */
export async function runToItsEnd(
  start: RolloutStart,
  story: (context: RolloutContext) => Promise<Ending>,
  rollback?: RollbackTurn,
): Promise<RolloutState> {
  const scope = new CancellationScope();
  const context = openContext(start, () => scope.cancel(), rollback);
  const { record, decisions, notifier, lane } = context;
  const { reason: told, ...end } = await scope.run(() => story(context)).catch((error: unknown) => endingOf(error, decisions));
  const reason = record.withWaivers(told);
  const ending: Ending = { ...end, ...(reason !== undefined && { reason }) };
  await CancellationScope.nonCancellable(async () => {
    record.end(ending.end, ending.reason);
    notifier.notify(ending.end, {
      ...(ending.reason !== undefined && { reason: ending.reason }),
      ...(ending.stage !== undefined && { stage: ending.stage }),
    });
    await closeRejected(context, ending);
    await lane.leave(ending);
    await notifier.flush();
    await condition(allHandlersFinished);
  });
  return record.state;
}

function endingOf(error: unknown, decisions: OperatorDecisions): Ending {
  const ending = endingIn(error);
  if (ending !== undefined) return ending;
  // An error that no step turned into a question: a workflow that failed would never leave its lane.
  if (!isCancellation(error)) return { end: 'failed', reason: failureOf(error).message };
  return decisions.aborted ?? { end: 'aborted', reason: `workflow ${workflowInfo().workflowId} was cancelled in Temporal` };
}
