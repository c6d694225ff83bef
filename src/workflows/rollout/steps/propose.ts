import { log, patched, workflowInfo } from '@temporalio/workflow';
import type { ProposeInput, TidyInput } from '../../../contracts/activities/delivery.ts';
import { isByDigest } from '../../../contracts/messages.ts';
import { failureTypes, isOneOf } from '../../../domain/failures.ts';
import type { CheckResult, Proposal, ProposalState, ProposeOutcome, RateLimited } from '../../../domain/outcomes.ts';
import { nameOfPerson } from '../../../domain/person.ts';
import { shortRollout, waiverText } from '../../../domain/rollout-state.ts';
import type { OpenApproval } from '../decisions.ts';
import type { Backoff } from '../lane-client.ts';
import { endRollout } from '../record.ts';
import { bestEffort, network, polling } from './proxies.ts';
import { failureOf, type StageRun, takeStep, unlimited } from './take-step.ts';

/** @returns false where an operator said to go on without it */
export async function dispatch(run: StageRun): Promise<boolean> {
  const { push } = run.start;
  if (run.stage.dispatch === undefined) return true;
  const outcome = await takeStep(run, run.at('dispatch'), () => network.dispatch({ ...run.input, push }));
  return outcome.kind !== 'skipped';
}

/** Proposes the change. @returns nothing where the stage has none, or where the base branch has it already */
export async function propose(run: StageRun, checks: readonly CheckResult[]): Promise<Proposal | undefined> {
  const { stage, record } = run;
  if (stage.change === undefined) return undefined;
  const outcome = await takeStep(run, run.at('propose'), () => network.propose(inputOf(run, checks)));
  if (outcome.kind === 'skipped') return endRollout({ end: 'rejected', reason: 'not proposed' });
  const proposal = proposalIn(run, outcome);
  // Where it is not merged, the rollout's end says so.
  if (proposal !== undefined && stage.change.merge !== 'off')
    record.notify('proposed', { stage: stage.name, reason: proposal.url });
  return proposal;
}

/** Before, a rollout that asked for another approval in its merge was listed as running, so that nobody saw the question. */
const approvalsAreSeen = 'approvals within a merge are seen';

/**
 * Proposes the change again, on top of what the base branch has by now. What people have committed to the proposal's branch since has to be
 * approved, too; what Landfall computes is what was approved, whatever the base has.
 * @param last what was proposed, and approved, before
 * @returns nothing where the base branch has the change already
 */
export async function proposeAgain(run: StageRun, checks: readonly CheckResult[], last: Proposal): Promise<Proposal | undefined> {
  const proposal = proposalIn(run, await unlimited(() => network.propose(inputOf(run, checks))));
  if (proposal?.foreign && proposal.head !== last.head) {
    if (patched(approvalsAreSeen)) run.record.asksMeanwhile();
    await approve(run, proposal);
  }
  return proposal;
}

function proposalIn({ stage, image, record }: StageRun, outcome: Exclude<ProposeOutcome, RateLimited>): Proposal | undefined {
  if (outcome.kind === 'unchanged') return undefined;
  if (outcome.kind === 'outdated') {
    // Somebody brought the base branch to a later image, which is never taken back.
    const reason = `the base branch has ${outcome.tag}, which is later than ${image.tag}`;
    return endRollout({ end: 'unchanged', reason });
  }
  record.proposed(stage.name, outcome.proposal);
  return outcome.proposal;
}

/** What a proposal is made of, as far as it is known by now. */
function inputOf({ start, record, input }: StageRun, checks: readonly CheckResult[]): ProposeInput {
  const { push, manual } = start;
  const { waivers } = record;
  return {
    ...input,
    ...{ push, checks },
    ...(waivers.length > 0 && { skipped: waivers }),
    ...(isByDigest(start) && { named: true }),
    ...(manual && { manual }),
  };
}

/**
 * Waits until enough operators have approved: by the update `approve`, or by a review of the proposal's head. What they approve is this
 * rollout, which has one digest, and the change that this head brings. Landfall may bring the same change to a base that has moved on.
 */
export async function approve(run: StageRun, proposal: Proposal | undefined): Promise<void> {
  const { approval: plan, name: stage } = run.stage;
  if (plan === undefined) return;
  const at = run.at('approve');
  if (!plan.selfApproval) await run.decisions.learnPusher();
  const open = run.decisions.openApproval({ stage, plan, deadline: Date.now() + plan.withinMs, head: proposal?.head });
  await takeStep(run, at, () => untilApproved(run, proposal, open), { continues: true });
  run.decisions.closeApproval(stage);
  run.record.settle(at, 'passed', `approved by ${open.given.map(nameOfPerson).join(', ')}`);
}

/** @throws ApplicationFailure where the forge refuses to answer */
async function untilApproved(
  run: StageRun,
  proposal: Proposal | undefined,
  open: OpenApproval,
): Promise<{ readonly kind: 'ready' }> {
  const { decisions, lane, record } = run;
  const { stage, plan, deadline, given } = open;
  const at = run.at('approve');
  const backoff = lane.backoff(stage, at);
  for (let isNotified = false; ; isNotified = true) {
    const remarks = await takeReviews(run, proposal, open, backoff);
    decisions.endIfRejected(at);
    if (given.length >= plan.required) return { kind: 'ready' };
    // After the reviews were read: one that was given in time counts, also where no webhook told of it.
    if (Date.now() >= deadline) endExpired(open);
    const waived = record.waivers.map(waiverText);
    const reason = missing(open);
    record.settle(at, 'waiting', [reason, ...waived, ...remarks].join('; ').slice(0, 2_000));
    if (!isNotified) record.notify('approval', { stage, reason, advice: advice(stage, proposal) });
    const givenBefore = given.length;
    await backoff.pause(deadline - Date.now(), () => given.length > givenBefore);
    decisions.endIfRejected(at);
    if (given.length >= plan.required) return { kind: 'ready' };
    lane.endIfSuperseded(stage, 'its approval');
  }
}

/** @returns what people should know about reviews that do not count */
async function takeReviews(
  run: StageRun,
  proposal: Proposal | undefined,
  open: OpenApproval,
  backoff: Backoff,
): Promise<string[]> {
  if (proposal === undefined) return [];
  const state = await proposalState(run, proposal, backoff);
  if (state.kind === 'closed') return await endClosed(run, proposal, state.by);
  // Somebody may have merged before it was approved; what is deployed still waits for that.
  const reviews = state.kind === 'silent' ? [] : (state.reviews ?? []);
  return run.decisions.takeReviews(open, reviews);
}

function missing({ plan: { from, required }, given, deadline }: OpenApproval): string {
  const names = given.map(({ by }) => by);
  const others = from.map(({ name }) => name).filter((name) => !names.includes(name));
  const sofar = names.length === 0 ? '' : `, approved by ${names.join(', ')}`;
  return `waits for ${required - names.length} of ${others.join(', ')} to approve, until ${new Date(deadline).toISOString()}${sofar}`;
}

function advice(stage: string, proposal: Proposal | undefined): string {
  const id = shortRollout(workflowInfo().workflowId);
  const review = proposal?.kind === 'pull-request' ? ', or a review of the pull request' : '';
  return `landfall approve ${id} --stage ${stage}, or landfall reject ${id} approve --stage ${stage}${review}`;
}

function endExpired({ stage, plan: { withinMs, required }, given }: OpenApproval): never {
  const within = withinMs < 120_000 ? `${withinMs / 1_000} seconds` : `${Math.round(withinMs / 60_000)} minutes`;
  return endRollout({ end: 'expired', reason: `${stage} got ${given.length} of ${required} approvals within ${within}` });
}

/** `silent`: the forge did not answer, or asked us to wait. */
export type SeenProposal = Exclude<ProposalState, RateLimited> | { readonly kind: 'silent'; readonly reason: string };

/** Asks the forge once how a proposal is. @throws ApplicationFailure where the forge says no */
export async function proposalState(run: StageRun, proposal: Proposal, backoff: Backoff): Promise<SeenProposal> {
  backoff.attempt();
  try {
    const state = await polling.proposalState({ ...run.input, proposal });
    if (state.kind === 'rate-limited') return { kind: 'silent', reason: `the forge asks to wait until ${state.until}` };
    return state;
  } catch (error) {
    const failure = failureOf(error);
    if (isOneOf(failureTypes, failure.type)) throw error;
    return { kind: 'silent', reason: `the forge does not answer: ${failure.message}` };
  }
}

/** A person has closed the proposal: that is a no to this image in this stage, and the branch goes. */
export async function endClosed(run: StageRun, proposal: Proposal, by: string | undefined): Promise<never> {
  await tidy({ ...run.input, proposal });
  return endRollout({ end: 'rejected', reason: `${proposal.url} was closed by ${by ?? 'somebody'}` });
}

/** A branch or a proposal that stays is no failure of the rollout, whatever the forge says. */
export async function tidy(input: TidyInput): Promise<void> {
  try {
    await unlimited(() => bestEffort.tidyChange(input));
  } catch (error) {
    const { message } = failureOf(error);
    log.warn('what a rollout proposed could not be tidied up', { proposal: input.proposal.url, message });
  }
}
