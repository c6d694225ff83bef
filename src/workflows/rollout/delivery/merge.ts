import type { MergeOutcome, Proposal, VerifiedImage } from '../../../domain/outcomes.ts';
import type { StagePlan } from '../../../domain/plan.ts';
import type { Rollout } from '../context.ts';
import type { GivenUp } from '../lane-client.ts';
import type { Wait } from '../poller.ts';
import type { StepAt } from '../record.ts';
import { closedBy, tidy } from '../steps/closed.ts';
import { look, type Standing } from '../steps/look.ts';
import { network } from '../steps/proxies.ts';
import { refusal, unlimited } from '../steps/take-step.ts';

/** A proposal on its way into the base branch. */
export interface Merging {
  readonly run: Rollout;
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  /** The step that people see waiting. */
  readonly at: StepAt;
  /** Proposes again, where the base has to be merged in first, or somebody pushed to the branch and an operator said `retry`. */
  readonly proposeAgain: () => Promise<Proposal | undefined>;
  /** May be given up for a newer image, or by a person who closes it. An operator's rejection is heard as long as nothing is merged. */
  readonly mayEnd: boolean;
  /** What is proposed now; changes when it has to be proposed again. */
  proposal: Proposal;
}

export interface Merged {
  readonly kind: 'merged';
  readonly commit: string;
  readonly by?: string;
}

type Open = Extract<Standing, { kind: 'open' }>;

/** How long nothing but missing checks may keep a merge turn from the next; then it goes to the end of the line. */
const longestTurnMs = 30 * 60_000;

/**
 * Waits until nothing but the merge itself is missing, or until a person has merged.
 * @returns the merge, where a person made it
 * @throws ApplicationFailure `CheckFailed`, `HeadMoved`, `MergeRefused`; `BranchConflict` where it is proposed again
 */
export async function untilMergeable(merging: Merging, who: 'person' | 'landfall'): Promise<Merged | undefined> {
  const { run, stage } = merging;
  const wait = run.patience.begin();
  for (;;) {
    const standing = await lookOnce(merging, wait);
    if (standing.kind === 'merged') return await mergedByPerson(merging, standing);
    if (standing.kind === 'open') {
      requireOurs(merging, standing);
      if (who === 'landfall' && isForUs(standing)) return undefined;
    }
    waitingFor(merging, who === 'person' ? 'a person merges it' : reasonOf(standing));
    requirePatience(merging, who, wait, standing);
    await wait.pause(() => isGivenUp(merging));
    giveUpIfAsked(merging, who === 'person' ? 'its merge' : stage.name);
  }
}

/** Merges, holding the merge turn of the base branch; where the base has moved on, with the base merged in first. */
export async function mergeInTurn(merging: Merging): Promise<Merged> {
  const { run, stage } = merging;
  const change = stage.change;
  if (change === undefined) throw refusal('MergeRefused', `stage ${stage.name} has no change to merge`);
  for (;;) {
    const turn = { repository: change.repository, base: change.base };
    const merged = await run.lane.inMergeTurn(turn, run.patience.begin(), () => tryToMerge(merging), rejectionOf(merging));
    if (merged !== undefined) return merged;
  }
}

/** @returns nothing where it took too long: others have their turn first */
async function tryToMerge(merging: Merging): Promise<Merged | undefined> {
  const { run } = merging;
  const wait = run.patience.begin();
  while (Date.now() - wait.sinceMs < longestTurnMs) {
    const standing = await lookOnce(merging, wait);
    if (standing.kind === 'merged') return await mergedByPerson(merging, standing);
    giveUpIfAsked(merging, 'its merge');
    let reason = reasonOf(standing);
    if (standing.kind === 'open') {
      requireOurs(merging, standing);
      const outdated = standing.mergeable === 'behind' || standing.mergeable === 'conflicting';
      if (outdated) {
        const head = merging.proposal.head;
        if (!(await bringUpToDate(merging))) return { kind: 'merged', commit: head };
        // Where nothing came of it, the forge is not done thinking: it is asked again after a pause.
        if (merging.proposal.head !== head) continue;
      } else if (isForUs(standing) && standing.queued !== 'in-queue') {
        const outcome = await mergeNow(merging);
        if (outcome.kind === 'merged') return outcome;
        reason =
          outcome.kind === 'queued' ? 'the merge queue has it' : outcome.kind === 'not-yet' ? outcome.reason : outcome.until;
      }
    }
    waitingFor(merging, reason);
    await wait.pause(() => isGivenUp(merging));
  }
  return undefined;
}

async function mergeNow({ run, stage, image, proposal }: Merging): Promise<MergeOutcome> {
  return await network.mergeChange({ plan: run.start.plan, stage, image, proposal });
}

async function lookOnce(merging: Merging, wait: Wait): Promise<Exclude<Awaited<ReturnType<typeof look>>, { kind: 'closed' }>> {
  const { run, stage, image, proposal } = merging;
  const standing = await look(run, stage, image, proposal, wait);
  if (standing.kind !== 'closed') return standing;
  if (merging.mayEnd) return await closedBy(run, stage, image, proposal, standing.by);
  throw refusal('MergeRefused', `${proposal.url} was closed by ${standing.by ?? 'somebody'}: retry proposes it again`);
}

/** What is merged is what was proposed (the activity sees to it that this is ours alone), and a failing check is a no. */
function requireOurs({ proposal }: Merging, { head, failing }: Open): void {
  if (head !== proposal.head) {
    const what = `${proposal.branch} is at ${head.slice(0, 12)}, and not at ${proposal.head.slice(0, 12)}, which was checked`;
    throw refusal(
      'HeadMoved',
      `somebody pushed to the branch: ${what}; merge it by hand, or take back what they pushed, then retry, which proposes the image again`,
    );
  }
  if (failing.length > 0) throw refusal('CheckFailed', `failed on ${proposal.url}: ${failing.join(', ')}`, { failing });
}

function isForUs({ mergeable, pending }: Open): boolean {
  return pending.length === 0 && mergeable !== 'waiting' && mergeable !== 'unknown';
}

/** @returns whether there is still something to merge */
async function bringUpToDate(merging: Merging): Promise<boolean> {
  const again = await merging.proposeAgain();
  if (again === undefined) return false;
  merging.proposal = again;
  return true;
}

/** A person may merge before us; what counts is whether the base branch holds the image then. */
async function mergedByPerson(
  { run, stage, image, proposal }: Merging,
  { commit, by }: Extract<Standing, { kind: 'merged' }>,
): Promise<Merged> {
  const input = { plan: run.start.plan, stage, image, proposal };
  const { holds } = await unlimited(() => network.baseHolds(input));
  if (!holds) {
    throw refusal(
      'BaseMovedOn',
      `${proposal.url} was merged by ${by ?? 'somebody'} as ${commit.slice(0, 12)}, but ${proposal.base} does not have this image: somebody changed it; retry looks again`,
    );
  }
  await tidy(input);
  return { kind: 'merged', commit, ...(by !== undefined && { by }) };
}

function waitingFor({ run, at, proposal }: Merging, reason: string): void {
  run.record.settle(at, 'waiting', `${proposal.url}: ${reason}`);
}

function reasonOf(standing: Awaited<ReturnType<typeof look>>): string {
  if (standing.kind === 'silent') return standing.reason;
  if (standing.kind !== 'open') return 'it is merged';
  const { pending, missing, queued, mergeable } = standing;
  if (queued === 'in-queue') return 'the merge queue has it';
  if (pending.length > 0) return `waits for ${pending.join(', ')}`;
  if (mergeable === 'unknown') return 'the forge is still finding out whether it can be merged';
  return missing === undefined ? 'is about to be merged' : `waits for ${missing}`;
}

/** Checks that never report would be waited for in vain; people take as long as they like. */
function requirePatience(
  { run, proposal }: Merging,
  who: 'person' | 'landfall',
  wait: Wait,
  standing: Standing | { kind: 'silent'; reason: string },
): void {
  if (who === 'person' || Date.now() - wait.sinceMs < run.start.plan.decideWithinMs) return;
  throw refusal('MergeRefused', `${proposal.url} could not be merged for too long: ${reasonOf(standing)}`);
}

function isGivenUp({ run, stage, at, mayEnd }: Merging): boolean {
  return run.desk.isRejected(at) || (mayEnd && run.lane.supersededIn(stage.name) !== undefined);
}

function giveUpIfAsked({ run, stage, at, mayEnd }: Merging, meanwhile: string): void {
  run.desk.endIfRejected(at);
  if (mayEnd) run.lane.endIfSuperseded(stage.name, meanwhile);
}

/** An operator may reject while nothing is merged yet, whatever that waits for. */
export function rejectionOf({ run, at }: Pick<Merging, 'run' | 'at'>): GivenUp {
  return { isAsked: () => run.desk.isRejected(at), end: () => run.desk.endIfRejected(at) };
}
