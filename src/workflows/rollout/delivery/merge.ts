import { ApplicationFailure } from '@temporalio/workflow';
import type { RevertInput } from '../../../contracts/activities/delivery.ts';
import { personMerges } from '../../../domain/open-questions.ts';
import type { CheckResult, MergeOutcome, Proposal } from '../../../domain/outcomes.ts';
import type { StepAt } from '../record.ts';
import { endClosed, proposalState, proposeAgain, type SeenProposal, tidy } from '../steps/propose.ts';
import { network } from '../steps/proxies.ts';
import { type StageRun, type StepRules, takeStep, unlimited } from '../steps/take-step.ts';

/** How long a merge turn is kept while checks are missing; then the next one has its turn. */
const longestTurnMs = 30 * 60_000;

type MergeResult = Extract<MergeOutcome, { kind: 'merged' }>;
type Ready = { readonly kind: 'ready' };

/** What is proposed is the change, or its revert. */
type Proposed = { readonly checks: readonly CheckResult[] } | { readonly revert: RevertInput };

/** A proposal on its way into the base branch. Nothing but `again` changes what is proposed. */
export class OpenProposal {
  readonly run: StageRun;
  /** The step that people see waiting, and that operators may reject while nothing is merged yet. */
  readonly at: Required<StepAt>;
  readonly #proposed: Proposed;
  #current: Proposal;

  constructor(run: StageRun, proposal: Proposal, proposed: Proposed) {
    this.run = run;
    this.at = run.at('revert' in proposed ? 'rollback' : 'merge');
    this.#current = proposal;
    this.#proposed = proposed;
  }

  /** What is proposed now. */
  get current(): Proposal {
    return this.#current;
  }

  /** Waits until nothing but the merge itself is missing, or until a person has merged. @returns the merge, where a person made it */
  async untilMergeable(who: 'person' | 'landfall', rules: StepRules = {}): Promise<MergeResult | undefined> {
    return await this.#step(() => untilMergeable(this, who), rules);
  }

  /** Merges. @returns nothing where an operator said to go on without that */
  async merge(rules: StepRules = {}): Promise<MergeResult | undefined> {
    return await this.#step(() => mergeInTurn(this), rules);
  }

  /** Takes the step, or a part of it; after a block it is proposed again first. */
  async #step(act: () => Promise<MergeResult | Ready>, rules: StepRules): Promise<MergeResult | undefined> {
    let tries = 0;
    const attempt = async () => {
      tries += 1;
      const isLeft = tries === 1 || (await this.again());
      // A revert that the base branch has by now is done; of a change, what became of its proposal is looked at.
      if (!isLeft && 'revert' in this.#proposed) return { kind: 'merged' as const, commit: this.#current.head };
      return await act();
    };
    const outcome = await takeStep<MergeResult | Ready>(this.run, this.at, attempt, rules);
    return outcome.kind === 'merged' ? outcome : undefined;
  }

  /** Proposes it again, on top of the base branch. @returns whether there is still something to merge */
  async again(): Promise<boolean> {
    const proposal = await this.#proposeAgain();
    this.#current = proposal ?? this.#current;
    return proposal !== undefined;
  }

  async #proposeAgain(): Promise<Proposal | undefined> {
    const proposed = this.#proposed;
    if ('checks' in proposed) return await proposeAgain(this.run, proposed.checks, this.#current);
    const outcome = await unlimited(() => network.revertChange(proposed.revert));
    return outcome.kind === 'proposed' ? outcome.proposal : undefined;
  }
}

/** A newer image, a rejection or a closed proposal ends the rollout. @throws ApplicationFailure `CheckFailed`, `HeadMoved`, `MergeRefused` */
async function untilMergeable(open: OpenProposal, who: 'person' | 'landfall'): Promise<MergeResult | Ready> {
  const { run, at } = open;
  const { stage, lane, decisions } = run;
  const backoff = lane.backoff(stage.name, at);
  for (;;) {
    const state = await proposalState(run, open.current, backoff);
    if (state.kind === 'closed') return await endClosed(run, open.current, state.by);
    if (state.kind === 'merged') {
      if (who === 'person') run.record.personActed();
      return await mergedBySomebody(open, state);
    }
    if (state.kind === 'open') {
      requireOurs(open, state);
      if (who === 'landfall' && isMergeable(state)) return { kind: 'ready' };
    }
    showWaiting(open, who === 'person' ? personMerges : reasonOf(state));
    // Checks that never report would be waited for in vain; people take as long as they like.
    if (who === 'landfall' && Date.now() - backoff.sinceMs >= run.start.plan.decideWithinMs) throw tooLong(open, state);
    await backoff.pause();
    decisions.endIfRejected(at);
    lane.endIfSuperseded(stage.name, who === 'person' ? 'its merge' : stage.name);
  }
}

/** Merges in the base branch's merge turn. @throws ApplicationFailure `CheckFailed`, `HeadMoved`, `MergeRefused`, `BranchConflict` */
async function mergeInTurn(open: OpenProposal): Promise<MergeResult> {
  const { change, name } = open.run.stage;
  const { lane } = open.run;
  const begunAt = Date.now();
  if (change === undefined) throw ApplicationFailure.nonRetryable(`stage ${name} has no change to merge`, 'MergeRefused');
  for (;;) {
    try {
      await lane.takeMergeTurn(change, open.at);
      const merged = await tryToMerge(open);
      if (merged !== undefined) return merged;
    } finally {
      await lane.releaseMergeTurn(change);
    }
    await untilNobodyIsMissing(open, begunAt);
  }
}

/** A review, say. Others have their turn meanwhile. @throws ApplicationFailure `MergeRefused` where it takes longer than people have to decide */
async function untilNobodyIsMissing(open: OpenProposal, sinceMs: number): Promise<void> {
  const { run, at } = open;
  const { decideWithinMs } = run.start.plan;
  const backoff = run.lane.backoff(at.stage, at);
  for (;;) {
    const state = await proposalState(run, open.current, backoff);
    if (state.kind !== 'silent' && (state.kind !== 'open' || !lacksPeople(state))) return;
    if (Date.now() - sinceMs >= decideWithinMs) throw tooLong(open, state);
    showWaiting(open, reasonOf(state));
    await backoff.pause();
    run.decisions.endIfRejected(at);
  }
}

/** @returns nothing where it took too long, or people have to do something: others have their turn first */
async function tryToMerge(open: OpenProposal): Promise<MergeResult | undefined> {
  const { run, at } = open;
  const { decisions } = run;
  const backoff = run.lane.backoff(at.stage, at);
  while (Date.now() - backoff.sinceMs < longestTurnMs) {
    const state = await proposalState(run, open.current, backoff);
    if (state.kind === 'closed') {
      const by = state.by ?? 'somebody';
      throw ApplicationFailure.nonRetryable(`${open.current.url} was closed by ${by}: retry proposes it again`, 'MergeRefused');
    }
    if (state.kind === 'merged') return await mergedBySomebody(open, state);
    decisions.endIfRejected(at);
    let reason = reasonOf(state);
    if (state.kind === 'open') {
      requireOurs(open, state);
      if (state.mergeable === 'behind' || state.mergeable === 'conflicting') {
        const { head } = open.current;
        if (!(await open.again())) return { kind: 'merged', commit: head };
        // With the same head, the forge has not finished thinking: it is asked again after a pause.
        if (open.current.head !== head) continue;
      } else if (isMergeable(state) && state.queued !== 'in-queue') {
        const outcome = await network.mergeChange({ ...run.input, proposal: open.current });
        if (outcome.kind === 'merged') return outcome;
        reason = unmergedReason(outcome);
      }
    }
    showWaiting(open, reason);
    if (state.kind === 'open' && lacksPeople(state)) return undefined;
    await backoff.pause();
  }
  return undefined;
}

type OpenState = Extract<SeenProposal, { kind: 'open' }>;

/** What is merged is what was proposed (the activity sees to it that this is ours alone), and a failing check is a no. */
function requireOurs({ current }: OpenProposal, { head, failing }: OpenState): void {
  if (head !== current.head) {
    const what = `${current.branch} is at ${head.slice(0, 12)}, and not at ${current.head.slice(0, 12)}, which was checked`;
    throw ApplicationFailure.nonRetryable(
      `somebody pushed to the branch: ${what}; merge it by hand, or take back what they pushed, then retry, which proposes the image again`,
      'HeadMoved',
    );
  }
  if (failing.length === 0) return;
  throw ApplicationFailure.nonRetryable(`failed on ${current.url}: ${failing.join(', ')}`, 'CheckFailed', { failing });
}

/** All checks have reported, and still it may not be merged. */
function lacksPeople({ mergeable, pending, queued }: OpenState): boolean {
  return mergeable === 'waiting' && pending.length === 0 && queued !== 'in-queue';
}

function isMergeable({ mergeable, pending }: OpenState): boolean {
  return pending.length === 0 && mergeable !== 'waiting' && mergeable !== 'unknown';
}

/** Somebody may merge before us; what counts is whether the base branch holds the image then. */
async function mergedBySomebody(
  { run, current }: OpenProposal,
  { commit, by }: Extract<SeenProposal, { kind: 'merged' }>,
): Promise<MergeResult> {
  const input = { ...run.input, proposal: current };
  const { holds } = await unlimited(() => network.baseHolds(input));
  if (!holds) {
    throw ApplicationFailure.nonRetryable(
      `${current.url} was merged by ${by ?? 'somebody'} as ${commit.slice(0, 12)}, but ${current.base} does not have this image: somebody changed it; retry looks again`,
      'BaseMovedOn',
    );
  }
  await tidy(input);
  return { kind: 'merged', commit, ...(by !== undefined && { by }) };
}

function tooLong({ current }: OpenProposal, state: SeenProposal): ApplicationFailure {
  const found = `${current.url} could not be merged for too long: ${reasonOf(state)}`;
  return ApplicationFailure.nonRetryable(found, 'MergeRefused');
}

function showWaiting({ run, at, current }: OpenProposal, reason: string): void {
  run.record.settle(at, 'waiting', `${current.url}: ${reason}`);
}

function reasonOf(state: SeenProposal): string {
  if (state.kind === 'silent') return state.reason;
  if (state.kind !== 'open') return 'it is merged';
  const { pending, missing, queued, mergeable } = state;
  if (queued === 'in-queue') return 'the merge queue has it';
  if (pending.length > 0) return `waits for ${pending.join(', ')}`;
  if (mergeable === 'unknown') return 'the forge is still finding out whether it can be merged';
  return missing === undefined ? 'is about to be merged' : `waits for ${missing}`;
}

function unmergedReason(outcome: Exclude<MergeOutcome, { kind: 'merged' }>): string {
  if (outcome.kind === 'queued') return 'the merge queue has it';
  return outcome.kind === 'not-yet' ? outcome.reason : outcome.until;
}
