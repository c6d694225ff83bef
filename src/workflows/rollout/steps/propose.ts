import type { ProposeInput } from '../../../contracts/activities/delivery.ts';
import { isByDigest } from '../../../contracts/messages.ts';
import type { CheckResults, DispatchOutcome, Proposal, VerifiedImage } from '../../../domain/outcomes.ts';
import type { StagePlan } from '../../../domain/plan.ts';
import type { Rollout } from '../context.ts';
import { endRollout } from '../ending.ts';
import { endMoved } from './checks.ts';
import { network } from './proxies.ts';
import { takeStep } from './take-step.ts';

/** Is the image still what its tag is? Between the checks and the turn, hours may have gone by. */
export async function confirm(run: Rollout, stage: StagePlan, image: VerifiedImage): Promise<void> {
  const { plan } = run.start;
  if (isByDigest(run.start)) return;
  const outcome = await takeStep(run, { step: 'confirm', stage: stage.name }, () => network.confirm({ plan, image }));
  if (outcome.kind === 'moved') endMoved(image.tag, outcome.digest);
}

/** @returns false where an operator said to go on without it */
export async function dispatch(run: Rollout, stage: StagePlan, image: VerifiedImage): Promise<boolean> {
  const { plan, push } = run.start;
  if (stage.dispatch === undefined) return true;
  const outcome = await takeStep<DispatchOutcome>(run, { step: 'dispatch', stage: stage.name }, () =>
    network.dispatch({ plan, stage, image, push }),
  );
  return outcome.kind !== 'skipped';
}

/** Somebody brought the base branch to a later image, which is never undone. */
export function endOutdated(image: VerifiedImage, tag: string): never {
  return endRollout({ end: 'unchanged', reason: `the base branch has ${tag}, which is later than ${image.tag}` });
}

/** What a proposal is made of, as far as is known by now. */
export function proposalInput(run: Rollout, stage: StagePlan, image: VerifiedImage, checks: CheckResults): ProposeInput {
  const { plan, push, asked } = run.start;
  const skipped = run.record.waivers;
  return {
    ...{ plan, stage, image, push, checks },
    ...(skipped.length > 0 && { skipped }),
    ...(isByDigest(run.start) && { named: true }),
    ...(asked && { asked }),
  };
}

/** Proposes the change. @returns nothing where the stage has none, or where the base branch has it already */
export async function propose(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  checks: CheckResults,
): Promise<Proposal | undefined> {
  if (stage.change === undefined) return undefined;
  const input = proposalInput(run, stage, image, checks);
  const outcome = await takeStep(run, { step: 'propose', stage: stage.name }, () => network.propose(input));
  switch (outcome.kind) {
    case 'skipped':
      return endRollout({ end: 'rejected', reason: 'not proposed' });
    case 'outdated':
      return endOutdated(image, outcome.tag);
    case 'unchanged':
      return undefined;
    case 'proposed':
      run.record.proposed(stage.name, outcome.proposal);
      // Where it is not merged, the rollout's end says so.
      if (stage.merge !== 'off') run.tell.now('proposed', { stage: stage.name, reason: outcome.proposal.url });
      return outcome.proposal;
  }
}
