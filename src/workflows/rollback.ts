import type { RollbackStart } from '../contracts/messages.ts';
import type { RolloutState } from '../domain/rollout-state.ts';
import { beginRollout } from './rollout/context.ts';
import { undo } from './rollout/delivery/rollback.ts';

/** An operator undoes what a stage runs, whenever that is: the same roll-back as a rollout's own. */
export async function rollback({ stage: name, running, by, reason }: RollbackStart): Promise<RolloutState> {
  const { plan, image, repository, tag, digest } = running;
  const push = {
    source: 'operator',
    deliveryId: `rollback by ${by}`,
    repository,
    tag,
    digest,
    actor: by,
    receivedAt: new Date().toISOString(),
  };
  const run = beginRollout({ plan, image, push, asked: true }, { tag, digest });
  return await run.toItsEnd(async () => {
    const stage = plan.stages.find((candidate) => candidate.name === name);
    if (stage === undefined) return { end: 'failed', reason: `the plan that brought ${digest} has no stage ${name}` };
    const ending = await run.lane.inTurn(name, async () => {
      const { turn } = await run.lane.begin({ ...stage, windows: [] }, run.patience.begin());
      const why = reason ? `: ${reason}` : '';
      const undoneReason = `a roll-back was asked for by ${by}${why}`;
      return await undo(run, stage, running, { reason: `rolled back by ${by}${why}`, undoneReason, by, turn });
    });
    return ending ?? { end: 'unchanged', reason: 'nothing was rolled back' };
  });
}
