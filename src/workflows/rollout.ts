import { CancellationScope } from '@temporalio/workflow';
import type { CheckResults, VerifiedImage } from '../domain/outcomes.ts';
import type { StagePlan } from '../domain/plan.ts';
import type { RolloutState } from '../domain/rollout-state.ts';
import type { Ending } from './ending.ts';
import type { RolloutStart } from './messages.ts';
import { beginRollout, type Rollout } from './rollout-run.ts';
import { confirm, dispatch, propose, scan, smoke, verify } from './steps.ts';

/**
 * What becomes of one pushed image: verified at the registry, scanned and smoke-tested side by side, then proposed stage by stage.
 * A step that fails for good waits for an operator; whatever ends the rollout ends it in one place.
 */
export async function rollout(start: RolloutStart): Promise<RolloutState> {
  const run = beginRollout(start);
  return await run.toItsEnd(async () => {
    await run.lane.enter();
    const image = await verify(run);
    await run.lane.tellVerified(image);
    const [scanned, smoked] = await beside(scan(run, image), smoke(run, image));
    const checks: CheckResults = { ...(scanned && { scan: scanned }), ...(smoked && { smoke: smoked }) };
    for (const stage of start.plan.stages) {
      const ending = await run.lane.inTurn(stage.name, () => deliverTo(run, stage, image, checks));
      if (ending !== undefined) return ending;
    }
    return { end: 'unchanged', reason: 'the base branch has this image already' };
  });
}

/** One stage. An ending, where the rollout ends in this stage; nothing, where the next stage may begin. */
async function deliverTo(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  checks: CheckResults,
): Promise<Ending | undefined> {
  await confirm(run, stage, image);
  if (stage.dispatch !== undefined) await dispatch(run, stage, image);
  if (stage.change === undefined) return isLast(run, stage) ? { end: 'delivered', reason: 'dispatched' } : undefined;
  const outcome = await propose(run, stage, image, checks);
  switch (outcome.kind) {
    case 'proposed':
      return { end: 'proposed', reason: outcome.proposal.url };
    case 'outdated':
      return { end: 'unchanged', reason: `the base branch has ${outcome.tag}, which is later than ${image.tag}` };
    case 'unchanged':
      return undefined;
  }
}

function isLast(run: Rollout, stage: StagePlan): boolean {
  return run.start.plan.stages.at(-1)?.name === stage.name;
}

/** Both branches side by side. When one ends the rollout, the other is cancelled, and its clean-up is waited for. */
async function beside<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const scope = CancellationScope.current();
  const both = Promise.all([a, b]);
  await both.catch(() => scope.cancel());
  await Promise.allSettled([a, b]);
  return await both;
}
