import { log, patched } from '@temporalio/workflow';
import type { TidyInput } from '../../../contracts/activities/delivery.ts';
import type { Proposal, VerifiedImage } from '../../../domain/outcomes.ts';
import type { StagePlan } from '../../../domain/plan.ts';
import type { Rollout } from '../context.ts';
import { type Ending, endRollout } from '../ending.ts';
import { courtesy } from './proxies.ts';
import { failureOf, unlimited } from './take-step.ts';

/** A person has closed the proposal: that is a no to this image in this stage, and the branch goes. */
export async function closedBy(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  proposal: Proposal,
  by: string | undefined,
): Promise<never> {
  await tidy({ plan: run.start.plan, stage, image, proposal });
  return endRollout({ end: 'rejected', reason: `${proposal.url} was closed by ${by ?? 'somebody'}` });
}

/** What a rejected rollout proposed and did not merge is closed. The turn is still held, so that nobody else's proposal is meant. */
export async function closeRejected(
  { start: { plan }, record, delivered, lane: { image } }: Rollout,
  { end }: Ending,
): Promise<void> {
  if (end !== 'rejected' || image === undefined) return;
  const { proposals } = record.state;
  for (const stage of plan.stages) {
    const proposal = proposals[stage.name];
    if (proposal === undefined || delivered.includes(stage.name) || !patched('close-rejected')) continue;
    await tidy({ plan, stage, image, proposal, close: true });
  }
}

/** A branch or a proposal that stays is no failure of the rollout, whatever the forge says. */
export async function tidy(input: TidyInput): Promise<void> {
  try {
    await unlimited(() => courtesy.tidyChange(input));
  } catch (error) {
    const { message } = failureOf(error);
    log.warn('what a rollout proposed could not be tidied up', { proposal: input.proposal.url, message });
  }
}
