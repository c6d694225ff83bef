import { workflowInfo } from '@temporalio/workflow';
import type { RolloutStart } from '../../contracts/messages.ts';
import type { CheckResult } from '../../domain/outcomes.ts';
import type { RolloutState } from '../../domain/rollout-state.ts';
import { recordTrigger } from '../trigger.ts';
import { deliver, needOf } from './delivery/deliver.ts';
import type { StageOutcome } from './lane-client.ts';
import { runToItsEnd } from './run.ts';
import { check, confirm, verify } from './steps/checks.ts';
import { approve, dispatch, propose } from './steps/propose.ts';
import { type StageRun, stageRunOf } from './steps/take-step.ts';

/**
 * What becomes of one pushed image: verified at the registry, checked, and then brought to one stage after the other; a stage begins
 * only when the one before it is healthy. A step that fails for good waits for an operator, what turns out unhealthy is rolled back, and
 * whatever ends the rollout ends it in one place.
 */
export async function rollout(start: RolloutStart): Promise<RolloutState> {
  return await runToItsEnd(start, async (run) => {
    await recordNamed(start);
    await run.lane.enter();
    const image = await verify(run);
    await run.lane.reportVerified(image);
    const checks = await check(run, image);
    for (const stage of start.plan.stages) {
      const ending = await run.lane.inTurn(stage.name, () => deliverTo(stageRunOf(run, stage, image), checks));
      if (ending !== undefined) return ending;
    }
    if (run.record.delivered.length > 0) return { end: 'delivered', reason: run.record.delivered.join(', ') };
    const isDispatchOnly = start.plan.stages.every(({ change, deploy }) => change === undefined && deploy === undefined);
    return { end: 'unchanged', reason: isDispatchOnly ? 'nothing was sent' : 'the base branch has this image already' };
  });
}

/** Of a tag, the look-up has recorded it, of a promotion the lane, and of a rollout that begins anew its first run. */
async function recordNamed({ plan, push, image, named = false, promotion }: RolloutStart): Promise<void> {
  const isFirst = workflowInfo().continuedFromExecutionRunId === undefined;
  if (named && isFirst && promotion === undefined) await recordTrigger({ service: plan.service, push, digest: image.digest });
}

/** One stage. An ending, where the rollout ends in this stage. */
async function deliverTo(run: StageRun, checks: readonly CheckResult[]): Promise<StageOutcome> {
  const { stage } = run;
  await confirm(run);
  if (stage.change !== undefined) await dispatch(run);
  const proposal = await propose(run, checks);
  if (proposal !== undefined && stage.change?.merge === 'off') return { end: 'proposed', reason: proposal.url };
  const delivery = { run, checks, proposal };
  const need = await needOf(delivery);
  if (need === 'nothing') return 'reached';
  if (need === 'change') await approve(run, proposal);
  return await deliver(delivery, need);
}
