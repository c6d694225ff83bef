import type { RolloutStart } from '../../contracts/messages.ts';
import type { CheckResults, VerifiedImage } from '../../domain/outcomes.ts';
import type { StagePlan } from '../../domain/plan.ts';
import type { RolloutState } from '../../domain/rollout-state.ts';
import { beginRollout, type Rollout } from './context.ts';
import { deliver, needOf } from './delivery/deliver.ts';
import type { Ending } from './ending.ts';
import { approve } from './steps/approve.ts';
import { check, verify } from './steps/checks.ts';
import { confirm, dispatch, propose } from './steps/propose.ts';

/**
 * What becomes of one pushed image: verified at the registry, checked, and then brought to one stage after the other; a stage begins
 * only when the one before it is healthy. A step that fails for good waits for an operator, what turns out unhealthy is undone, and
 * whatever ends the rollout ends it in one place.
 */
export async function rollout(start: RolloutStart): Promise<RolloutState> {
  const run = beginRollout(start);
  return await run.toItsEnd(async () => {
    await run.lane.enter();
    const image = await verify(run);
    await run.lane.tellVerified(image);
    const checks = await check(run, image);
    for (const stage of start.plan.stages) {
      const ending = await run.lane.inTurn(stage.name, () => deliverTo(run, stage, image, checks));
      if (ending !== undefined) return ending;
    }
    if (run.delivered.length > 0) return { end: 'delivered', reason: run.delivered.join(', ') };
    const isDispatchAlone = start.plan.stages.every(({ change, deploy }) => change === undefined && deploy === undefined);
    return { end: 'unchanged', reason: isDispatchAlone ? 'nothing was sent' : 'the base branch has this image already' };
  });
}

/** One stage. An ending, where the rollout ends in this stage; nothing, where the next stage may begin. */
async function deliverTo(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  checks: CheckResults,
): Promise<Ending | 'passed-by' | undefined> {
  await confirm(run, stage, image);
  if (stage.change !== undefined) await dispatch(run, stage, image);
  const proposal = await propose(run, stage, image, checks);
  if (proposal !== undefined && stage.merge === 'off') return { end: 'proposed', reason: proposal.url };
  const delivery = { run, stage, image, checks, proposal };
  const need = await needOf(delivery);
  if (need === 'nothing') return undefined;
  if (need === 'change') await approve(run, stage, image, proposal);
  return await deliver(delivery, need);
}
