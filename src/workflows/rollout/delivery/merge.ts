import type { CheckResult, MergeOutcome, Proposal, StageSnapshot } from '../../../domain/outcomes.ts';
import type { StagePlan } from '../../../domain/plan.ts';
import type { StepName } from '../../../domain/rollout-state.ts';
import { refusal } from '../../failure.ts';
import { unlimited } from '../../rate-limit.ts';
import type { Allowed, GivenUp } from '../lane-client.ts';
import type { Backoff } from '../poller.ts';
import type { StageRun } from '../stage-run.ts';
import { endClosed, proposalState, type SeenProposal, tidy } from '../steps/proposal-state.ts';
import { dispatch, proposeAgain } from '../steps/propose.ts';
import { network } from '../steps/proxies.ts';
import { type Handling, takeStep } from '../steps/take-step.ts';
import { OtherChangesConsent, snapshot } from './snapshot.ts';

/** An image that is to be brought to a stage, once everybody who has a say has said yes. */
export interface StageDelivery {
  readonly run: StageRun;
  readonly checks: readonly CheckResult[];
  /** Absent where nothing is proposed: the base branch has it, or the stage has no change. */
  readonly proposal: Proposal | undefined;
}

/** What was found just before a change, and what the merge came to. */
export interface StageChange {
  readonly allowed: Allowed;
  readonly before: StageSnapshot;
  readonly merged?: { readonly commit: string; readonly proposal: Proposal };
  readonly consent: OtherChangesConsent;
  /** The stage is nothing but a dispatch, and an operator said to go on without it. */
  readonly isSkipped?: boolean;
}

/** A snapshot that is this old still counts. */
const freshForMs = 60_000;
/** How long a merge turn is kept while checks are missing; then the next one has its turn. */
const longestTurnMs = 30 * 60_000;

/**
 * Opens the gate, takes the snapshot, and merges, in the order of the stage's mode. The gate is where a rollout may begin to change
 * something: until then a newer image supersedes it and people can reject it, from then on it is delivered. So what is slow, and what needs
 * a person, comes before it.
 */
export async function change(delivery: StageDelivery, need: 'watch' | 'change'): Promise<StageChange> {
  const { run, proposal } = delivery;
  if (proposal === undefined) return need === 'watch' ? await nothingToChange(run) : await withoutMerge(run);
  return run.stage.change?.merge === 'manual'
    ? await mergedByPerson(delivery, proposal)
    : await mergedByLandfall(delivery, proposal);
}

async function nothingToChange(run: StageRun): Promise<StageChange> {
  // Windows are for changes, and there may be none.
  const allowed = await openGate({ ...run, stage: { ...run.stage, windows: [] } });
  const before = await snapshot(run, deployOrWatch(run.stage));
  return { allowed, before, consent: new OtherChangesConsent() };
}

async function withoutMerge(run: StageRun): Promise<StageChange> {
  const consent = new OtherChangesConsent();
  const look = () => snapshot(run, deployOrWatch(run.stage), consent);
  const { allowed, before } = await openGateAndLook(run, look);
  const isSent = run.stage.change !== undefined || (await dispatch(run));
  return { allowed, before, consent, ...(!isSent && isDispatchOnly(run.stage) && { isSkipped: true }) };
}

/** A person merges when they like, so the snapshot is taken before they can. */
async function mergedByPerson({ run, checks }: StageDelivery, proposal: Proposal): Promise<StageChange> {
  const consent = new OtherChangesConsent();
  const before = await snapshot(run, 'merge', consent);
  const open = new OpenProposal(run, 'merge', proposal, (last) => proposeAgain(run, checks, last));
  const merged = await open.step(async () => (await untilMergeable(open, 'person')) ?? ready);
  const allowed = await openGate(run);
  return { allowed, before, consent, merged: { commit: merged?.commit ?? open.current.head, proposal: open.current } };
}

async function mergedByLandfall({ run, checks }: StageDelivery, proposal: Proposal): Promise<StageChange> {
  const consent = new OtherChangesConsent();
  const open = new OpenProposal(run, 'merge', proposal, (last) => proposeAgain(run, checks, last));
  const early = await open.step(async () => (await untilMergeable(open, 'landfall')) ?? ready, { continues: true });
  const look = () => snapshot(run, 'merge', consent);
  const { allowed, before } = await openGateAndLook(run, look, open.rejection);
  if (early !== undefined) run.record.settle(open.at, 'passed', `merged by ${early.by ?? 'somebody'}`);
  const merged = early ?? (await open.step(() => mergeInTurn(open)));
  return { allowed, before, consent, merged: { commit: merged?.commit ?? open.current.head, proposal: open.current } };
}

const ready = { kind: 'ready' } as const;

function openGate(run: StageRun, rejection?: GivenUp): Promise<Allowed> {
  return run.lane.beginChange(run.stage, run.poller.backoff(), rejection);
}

/**
 * The snapshot is of what runs once the gate is open. Where a person may have to decide on it, it is taken before, and once more only if the
 * gate kept us waiting: each one costs six events of history.
 */
async function openGateAndLook(
  run: StageRun,
  look: () => Promise<StageSnapshot>,
  rejection?: GivenUp,
): Promise<Pick<StageChange, 'allowed' | 'before'>> {
  const early = mayAsk(run.stage) ? await look() : undefined;
  const lookedAt = Date.now();
  const allowed = await openGate(run, rejection);
  const isFresh = Date.now() - lookedAt < freshForMs;
  return { allowed, before: early !== undefined && isFresh ? early : await look() };
}

function mayAsk({ deploy }: StagePlan): boolean {
  return deploy?.foresees === true;
}

function deployOrWatch({ deploy }: StagePlan): StepName {
  return deploy === undefined ? 'watch' : 'deploy';
}

export function isDispatchOnly({ change, deploy, dispatch: sent }: StagePlan): boolean {
  return sent !== undefined && change === undefined && deploy === undefined;
}

export interface MergeResult {
  readonly kind: 'merged';
  readonly commit: string;
  readonly by?: string;
}

/** A proposal on its way into the base branch. Nothing but `again` changes what is proposed. */
export class OpenProposal {
  readonly run: StageRun;
  /** The step that people see waiting. */
  readonly at: ReturnType<StageRun['at']>;
  /** An operator may reject while nothing is merged yet, whatever that waits for. */
  readonly rejection: GivenUp;
  readonly #propose: (last: Proposal) => Promise<Proposal | undefined>;
  #current: Proposal;

  /** @param propose proposes it again, on top of the base branch; nothing where the base branch has it already */
  constructor(run: StageRun, step: StepName, proposal: Proposal, propose: (last: Proposal) => Promise<Proposal | undefined>) {
    this.run = run;
    this.at = run.at(step);
    this.rejection = { isAsked: () => run.decisions.isRejected(this.at), end: () => run.decisions.endIfRejected(this.at) };
    this.#current = proposal;
    this.#propose = propose;
  }

  /** What is proposed now. */
  get current(): Proposal {
    return this.#current;
  }

  /** Proposes it again. @returns whether there is still something to merge */
  async again(): Promise<boolean> {
    const proposal = await this.#propose(this.#current);
    this.#current = proposal ?? this.#current;
    return proposal !== undefined;
  }

  /** Takes the step, or a part of it; after a block it is proposed again first. @returns nothing where it is not merged by that */
  async step(act: () => Promise<MergeResult | typeof ready>, handling: Handling = {}): Promise<MergeResult | undefined> {
    let tries = 0;
    const attempt = async () => {
      tries += 1;
      if (tries > 1) await this.again();
      return await act();
    };
    const outcome = await takeStep(this.run, this.at, attempt, handling);
    return outcome.kind === 'merged' ? outcome : undefined;
  }
}

/**
 * Waits until nothing but the merge itself is missing, or until a person has merged. Until then a newer image supersedes the rollout, and
 * a person who closes the proposal ends it.
 * @returns the merge, where a person made it
 * @throws ApplicationFailure `CheckFailed`, `HeadMoved`, `MergeRefused`
 */
async function untilMergeable(open: OpenProposal, who: 'person' | 'landfall'): Promise<MergeResult | undefined> {
  const { run, at } = open;
  const { stage, lane, decisions } = run;
  const backoff = run.poller.backoff();
  for (;;) {
    const state = await proposalState(run, open.current, backoff);
    if (state.kind === 'closed') return await endClosed(run, open.current, state.by);
    if (state.kind === 'merged') return await mergedBySomebody(open, state);
    if (state.kind === 'open') {
      requireOurs(open, state);
      if (who === 'landfall' && isMergeable(state)) return undefined;
    }
    showWaiting(open, who === 'person' ? 'a person merges it' : reasonOf(state));
    if (who === 'landfall') refuseAfterTooLong(open, backoff, state);
    await backoff.pause(() => decisions.isRejected(at) || lane.supersededIn(stage.name) !== undefined);
    decisions.endIfRejected(at);
    lane.endIfSuperseded(stage.name, who === 'person' ? 'its merge' : stage.name);
  }
}

/**
 * Merges, holding the merge turn of the base branch; where the base has moved on, with the base merged in first.
 * @throws ApplicationFailure `CheckFailed`, `HeadMoved`, `MergeRefused`; `BranchConflict` where it is proposed again
 */
export async function mergeInTurn(open: OpenProposal): Promise<MergeResult> {
  const { run } = open;
  const { change: planned, name } = run.stage;
  if (planned === undefined) throw refusal('MergeRefused', `stage ${name} has no change to merge`);
  const { repository, base } = planned;
  for (;;) {
    const merge = () => tryToMerge(open);
    const merged = await run.lane.inMergeTurn({ repository, base }, run.poller.backoff(), merge, open.rejection);
    if (merged !== undefined) return merged;
  }
}

/** @returns nothing where it took too long: others have their turn first */
async function tryToMerge(open: OpenProposal): Promise<MergeResult | undefined> {
  const { run, rejection } = open;
  const backoff = run.poller.backoff();
  while (Date.now() - backoff.sinceMs < longestTurnMs) {
    const state = await proposalState(run, open.current, backoff);
    if (state.kind === 'closed') {
      const { url } = open.current;
      throw refusal('MergeRefused', `${url} was closed by ${state.by ?? 'somebody'}: retry proposes it again`);
    }
    if (state.kind === 'merged') return await mergedBySomebody(open, state);
    rejection.end();
    let reason = reasonOf(state);
    if (state.kind === 'open') {
      requireOurs(open, state);
      if (state.mergeable === 'behind' || state.mergeable === 'conflicting') {
        const { head } = open.current;
        if (!(await open.again())) return { kind: 'merged', commit: head };
        // With the same head, the forge has not finished thinking: it is asked again after a pause.
        if (open.current.head !== head) continue;
      } else if (isMergeable(state) && state.queued !== 'in-queue') {
        const outcome = await network.mergeChange({ ...run.input(), proposal: open.current });
        if (outcome.kind === 'merged') return outcome;
        reason = unmergedReason(outcome);
      }
    }
    showWaiting(open, reason);
    await backoff.pause(rejection.isAsked);
  }
  return undefined;
}

type OpenState = Extract<SeenProposal, { kind: 'open' }>;

/** What is merged is what was proposed (the activity sees to it that this is ours alone), and a failing check is a no. */
function requireOurs({ current }: OpenProposal, { head, failing }: OpenState): void {
  if (head !== current.head) {
    const what = `${current.branch} is at ${head.slice(0, 12)}, and not at ${current.head.slice(0, 12)}, which was checked`;
    throw refusal(
      'HeadMoved',
      `somebody pushed to the branch: ${what}; merge it by hand, or take back what they pushed, then retry, which proposes the image again`,
    );
  }
  if (failing.length > 0) throw refusal('CheckFailed', `failed on ${current.url}: ${failing.join(', ')}`, { failing });
}

function isMergeable({ mergeable, pending }: OpenState): boolean {
  return pending.length === 0 && mergeable !== 'waiting' && mergeable !== 'unknown';
}

/** Somebody may merge before us; what counts is whether the base branch holds the image then. */
async function mergedBySomebody(
  { run, current }: OpenProposal,
  { commit, by }: Extract<SeenProposal, { kind: 'merged' }>,
): Promise<MergeResult> {
  const input = { ...run.input(), proposal: current };
  const { holds } = await unlimited(() => network.baseHolds(input));
  if (!holds) {
    throw refusal(
      'BaseMovedOn',
      `${current.url} was merged by ${by ?? 'somebody'} as ${commit.slice(0, 12)}, but ${current.base} does not have this image: somebody changed it; retry looks again`,
    );
  }
  await tidy(input);
  return { kind: 'merged', commit, ...(by !== undefined && { by }) };
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

/** Checks that never report would be waited for in vain; people take as long as they like. */
function refuseAfterTooLong({ run, current }: OpenProposal, backoff: Backoff, state: SeenProposal): void {
  if (Date.now() - backoff.sinceMs < run.start.plan.decideWithinMs) return;
  throw refusal('MergeRefused', `${current.url} could not be merged for too long: ${reasonOf(state)}`);
}
