import type { Proposal, VerifiedImage } from '../../domain/outcomes.ts';
import type { StagePlan } from '../../domain/plan.ts';
import { endRollout } from '../ending.ts';
import type { Rollout } from '../rollout-run.ts';
import { network } from './proxies.ts';
import { unlimited } from './take-step.ts';

/** A person has closed the proposal: that is a no to this image in this stage, and the branch goes. */
export async function closedBy(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  proposal: Proposal,
  by: string | undefined,
): Promise<never> {
  const input = { plan: run.start.plan, stage, image, proposal };
  await unlimited(() => network.tidyChange(input));
  return endRollout({ end: 'rejected', reason: `${proposal.url} was closed by ${by ?? 'somebody'}` });
}
