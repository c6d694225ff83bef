import type { ProposeInput } from '../../../contracts/activities/delivery.ts';
import { isByDigest } from '../../../contracts/messages.ts';
import type { CheckResult, DispatchOutcome, Proposal } from '../../../domain/outcomes.ts';
import { unlimited } from '../../rate-limit.ts';
import { endRollout } from '../ending.ts';
import type { StageRun } from '../stage-run.ts';
import { approve } from './approve.ts';
import { endMoved } from './checks.ts';
import { network } from './proxies.ts';
import { takeStep } from './take-step.ts';

/** Is the image still what its tag is? Between the checks and the turn, hours may have gone by. */
export async function confirm(run: StageRun): Promise<void> {
  const { start, image } = run;
  if (isByDigest(start)) return;
  const outcome = await takeStep(run, run.at('confirm'), () => network.confirm({ plan: start.plan, image }));
  if (outcome.kind === 'moved') endMoved(image.tag, outcome.digest);
}

/** @returns false where an operator said to go on without it */
export async function dispatch(run: StageRun): Promise<boolean> {
  const { push } = run.start;
  if (run.stage.dispatch === undefined) return true;
  const send = (): Promise<DispatchOutcome> => network.dispatch({ ...run.input(), push });
  const outcome = await takeStep(run, run.at('dispatch'), send);
  return outcome.kind !== 'skipped';
}

/** Proposes the change. @returns nothing where the stage has none, or where the base branch has it already */
export async function propose(run: StageRun, checks: readonly CheckResult[]): Promise<Proposal | undefined> {
  const { stage, image, record, notifier } = run;
  if (stage.change === undefined) return undefined;
  const outcome = await takeStep(run, run.at('propose'), () => network.propose(inputOf(run, checks)));
  switch (outcome.kind) {
    case 'skipped':
      return endRollout({ end: 'rejected', reason: 'not proposed' });
    case 'outdated':
      return endOutdated(image.tag, outcome.tag);
    case 'unchanged':
      return undefined;
    case 'proposed':
      record.proposed(stage.name, outcome.proposal);
      // Where it is not merged, the rollout's end says so.
      if (stage.change.merge !== 'off') notifier.notify('proposed', { stage: stage.name, reason: outcome.proposal.url });
      return outcome.proposal;
  }
}

/**
 * Proposes the change again, on top of what the base branch has by now. What people have committed to the proposal's branch since has to be
 * approved, too; what Landfall computes is what was approved, whatever the base has.
 * @param last what was proposed, and approved, before
 * @returns nothing where the base branch has the change already
 */
export async function proposeAgain(run: StageRun, checks: readonly CheckResult[], last: Proposal): Promise<Proposal | undefined> {
  const { stage, image, record } = run;
  const outcome = await unlimited(() => network.propose(inputOf(run, checks)));
  if (outcome.kind === 'outdated') return endOutdated(image.tag, outcome.tag);
  if (outcome.kind !== 'proposed') return undefined;
  const { proposal } = outcome;
  record.proposed(stage.name, proposal);
  if (proposal.foreign && proposal.head !== last.head) await approve(run, proposal);
  return proposal;
}

/** What a proposal is made of, as far as it is known by now. */
function inputOf(run: StageRun, checks: readonly CheckResult[]): ProposeInput {
  const { push, manual } = run.start;
  const { waivers } = run.record;
  return {
    ...run.input(),
    ...{ push, checks },
    ...(waivers.length > 0 && { skipped: waivers }),
    ...(isByDigest(run.start) && { named: true }),
    ...(manual && { manual }),
  };
}

/** Somebody brought the base branch to a later image, which is never taken back. */
function endOutdated(tag: string, later: string): never {
  return endRollout({ end: 'unchanged', reason: `the base branch has ${later}, which is later than ${tag}` });
}
