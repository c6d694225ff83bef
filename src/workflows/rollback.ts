import type { RollbackStart } from '../contracts/messages.ts';
import type { RolloutState } from '../domain/rollout-state.ts';
import { rollBack } from './rollout/delivery/rollback.ts';
import type { Ending } from './rollout/record.ts';
import { runToItsEnd } from './rollout/run.ts';
import { type RolloutContext, stageRunOf } from './rollout/steps/take-step.ts';

/** An operator rolls back what a stage runs, whenever that is: the same rollback as a rollout's own. */
export async function rollback({ stage: name, running, by, reason }: RollbackStart): Promise<RolloutState> {
  const { plan, image, repository, tag, digest } = running;
  const asked = { source: 'operator', deliveryId: `rollback by ${by}`, actor: by, receivedAt: new Date().toISOString() };
  const push = { ...asked, repository, tag, digest };
  const story = async (run: RolloutContext): Promise<Ending> => {
    const stage = plan.stages.find((candidate) => candidate.name === name);
    if (stage === undefined) return { end: 'failed', reason: `the plan that brought ${digest} has no stage ${name}` };
    const ending = await run.lane.inTurn(name, async () => {
      const { turn } = await run.lane.beginChange({ ...stage, windows: [] });
      const why = reason ? `: ${reason}` : '';
      const cause = { reason: `rolled back by ${by}${why}`, reasonIfNot: `a rollback was asked for by ${by}${why}`, by, turn };
      return await rollBack(stageRunOf(run, stage, image), running, cause);
    });
    return ending ?? { end: 'unchanged', reason: 'nothing was rolled back' };
  };
  return await runToItsEnd({ plan, image, push, manual: true }, story, { tag, digest });
}
