import { failureTypes } from '../../../domain/failures.ts';
import type { ChangeStanding, Proposal, RateLimited, VerifiedImage } from '../../../domain/outcomes.ts';
import type { StagePlan } from '../../../domain/plan.ts';
import type { Rollout } from '../context.ts';
import type { Wait } from '../poller.ts';
import { looks } from './proxies.ts';
import { failureOf } from './take-step.ts';

export type Standing = Exclude<ChangeStanding, RateLimited>;

/**
 * One look at where a proposal stands. A forge that is broken, or asks us to wait, is no answer.
 * @throws ApplicationFailure where the forge says no
 */
export async function look(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  proposal: Proposal,
  wait: Wait,
): Promise<Standing | { readonly kind: 'silent'; readonly reason: string }> {
  wait.look();
  try {
    const standing = await looks.lookAtChange({ plan: run.start.plan, stage, image, proposal });
    if (standing.kind === 'rate-limited') return { kind: 'silent', reason: `the forge asks to wait until ${standing.until}` };
    return standing;
  } catch (error) {
    const failure = failureOf(error);
    if ((failureTypes as readonly string[]).includes(failure.type)) throw error;
    return { kind: 'silent', reason: `the forge does not answer: ${failure.message}` };
  }
}
