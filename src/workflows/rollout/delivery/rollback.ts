import { patched } from '@temporalio/workflow';
import { parseReference } from '../../../domain/image-reference.ts';
import type { Running } from '../../../domain/lane/running.ts';
import type { Deployed, Proposal, RevertOutcome, RunningImage, Watched } from '../../../domain/outcomes.ts';
import { isOnHost, type StagePlan, type WatchPlan } from '../../../domain/plan.ts';
import { type ExpectedImage, expectedVersion } from '../../../domain/watch-version.ts';
import type { Rollout } from '../context.ts';
import type { Ending } from '../ending.ts';
import { endingIn, endRollout } from '../ending.ts';
import { network, onHost } from '../steps/proxies.ts';
import { type Handling, refusal, takeStep, unlimited } from '../steps/take-step.ts';
import { settle, shortened } from './deploy.ts';
import { type Merged, type Merging, mergeInTurn } from './merge.ts';

/** Why, and by whose turn, something is undone. */
export interface Verdict {
  readonly reason: string;
  readonly by: string;
  readonly turn: number;
  /** How the reason is told where nothing is undone. */
  readonly undoneReason?: string;
}

interface Undoing {
  readonly run: Rollout;
  readonly stage: StagePlan;
  readonly running: Running;
  readonly verdict: Verdict;
  /** What comes back. */
  readonly before: readonly RunningImage[];
  /** What people have to know of how it came back. */
  readonly notes: string[];
  /** It is back, as far as Landfall brings it back by itself; health and all else may be missing. */
  isBack: boolean;
}

/**
 * Undoes what a stage runs: first the running system, then the repository, or the other way round where something else deploys what the
 * repository says. Neither hold nor windows nor approvals keep it from that, and a roll-back is never rolled back.
 */
export async function undo(run: Rollout, stage: StagePlan, running: Running, found: Verdict): Promise<Ending> {
  const verdict = { ...found, reason: blaming(found.reason, running) };
  const at = { step: 'rollback', stage: stage.name } as const;
  const startedAt = Date.now();
  const undoing: Undoing = { run, stage, running, verdict, before: whatRanBefore(stage, running), notes: [], isBack: false };
  run.record.stop(stage.name, verdict.reason);
  run.record.add(at);
  run.tell.now('unhealthy', {
    stage: stage.name,
    reason: verdict.reason,
    advice: 'nothing: what ran before is being brought back',
  });
  if ((await requireSomethingBefore(undoing)).kind === 'skipped') return notUndone(undoing);
  const { digest } = running;
  const toldAt = new Date().toISOString();
  await run.lane.tellRolledBack(stage.name, { digest, reason: verdict.reason, by: verdict.by, at: toldAt });
  const undone = await unlessGivenUp(undoing, stage.deploy === undefined ? byRepository : bySystem);
  if (undone === undefined) {
    await run.lane.tellNotRolledBack(stage.name, running, toldAt);
    return notUndone(undoing);
  }
  const back = backText(undoing, undone, startedAt);
  run.record.settle(at, 'passed', back);
  return { end: 'rolled-back', stage: stage.name, reason: `${stage.name}: ${verdict.reason}; ${back}` };
}

/** Where a roll-back ends before anything is back, the lane has to know what runs; the digest stays in quarantine. */
async function unlessGivenUp(
  undoing: Undoing,
  bringBack: (undoing: Undoing) => Promise<Undone | undefined>,
): Promise<Undone | undefined> {
  const { run, stage, running } = undoing;
  try {
    return await bringBack(undoing);
  } catch (error) {
    const isGivenUp = endingIn(error)?.end === 'failed' && !undoing.isBack;
    if (isGivenUp && patched('given-up-rollback')) await run.lane.tellNotRolledBack(stage.name, running);
    throw error;
  }
}

/** An operator said to leave the stage as it is: it still runs what does not do. */
function notUndone({ stage, verdict }: Undoing): Ending {
  const { reason, undoneReason = reason } = verdict;
  return { end: 'failed', stage: stage.name, reason: `${stage.name}: ${undoneReason}; nothing was rolled back` };
}

/** What came of it, where what was before is back. */
interface Undone {
  /** When it was seen to be healthy, in milliseconds; `skipped`: an operator said to go on without that. */
  readonly healthyAt: number | 'skipped' | undefined;
  /** An operator said to leave the repository as it is. */
  readonly isRepositoryLeft: boolean;
}

function backText({ before, notes }: Undoing, { healthyAt, isRepositoryLeft }: Undone, startedAt: number): string {
  const references = new Set(before.map(({ reference }) => reference));
  const what = [...references].join(', ') || 'what was before';
  const all = [...notes, ...(isRepositoryLeft ? ['the repository was left as it is'] : [])];
  const rest = all.map((note) => `; ${note}`).join('');
  if (healthyAt === 'skipped') return `${what} was brought back, and was not seen to be healthy${rest}`;
  const after = healthyAt === undefined ? '' : `, healthy ${((healthyAt - startedAt) / 1000).toFixed(1)} s after the verdict`;
  return `${what} is back${after}${rest}`;
}

/** The image need not be to blame: what came along with it is undone in the running system too, and stays in the repository. */
function blaming(reason: string, { cameAlong }: Running): string {
  if (cameAlong === undefined) return reason;
  return `${reason}; besides the image, this came along, and stays in the repository: ${cameAlong}`;
}

/** The running system first: neither registry nor forge are needed for that. @returns nothing where it was left as it is */
async function bySystem(undoing: Undoing): Promise<Undone | undefined> {
  const { run, stage, running, verdict, before } = undoing;
  const input = { plan: run.start.plan, stage, image: running.image, turn: verdict.turn, before };
  const restored = await part(undoing, () => onHost(stage).restoreStage(input));
  if (restored.kind === 'skipped' && patched('skipped-rollback')) return undefined;
  undoing.isBack = true;
  if (restored.kind === 'deployed' && restored.note !== undefined) undoing.notes.push(restored.note);
  const healthyAt = await watchAgain(undoing, restored.kind === 'deployed' ? restored.running : before);
  const isRepositoryLeft = !(await revertRepository(undoing));
  await settle(run, stage, running.image);
  return { healthyAt, isRepositoryLeft };
}

/** @returns nothing where the repository, and with it the stage, was left as it is */
async function byRepository(undoing: Undoing): Promise<Undone | undefined> {
  const isReverted = await revertRepository(undoing);
  if (!isReverted && patched('skipped-rollback')) return undefined;
  undoing.isBack = true;
  return { healthyAt: await watchAgain(undoing, []), isRepositoryLeft: !isReverted };
}

async function watchAgain(undoing: Undoing, restored: readonly RunningImage[]): Promise<Undone['healthyAt']> {
  const { run, stage, running, before } = undoing;
  if (stage.watch === undefined) return undefined;
  const expected = expectedOf(before, stage.watch);
  const brief = { ...stage, watch: shortened(stage.watch) };
  const input = {
    plan: run.start.plan,
    stage: brief,
    image: running.image,
    running: restored,
    ...(expected !== undefined && { expected }),
  };
  const beganAt = Date.now();
  const watched = await part(undoing, () => onHost(stage).watchStage(input));
  if (watched.kind === 'skipped') return 'skipped';
  return watched.kind === 'watched' ? beganAt + watched.healthyAfterMs : undefined;
}

/** Puts the previous image line back, where base still has ours. @returns false where an operator said to leave it as it is */
async function revertRepository(undoing: Undoing): Promise<boolean> {
  const { run, stage, running, verdict } = undoing;
  const { proposal } = running;
  if (proposal === undefined || stage.change === undefined) return true;
  const input = { plan: run.start.plan, stage, image: running.image, proposal, reason: verdict.reason };
  const revert = (): Promise<RevertOutcome> => network.revertChange(input);
  const reverted = await part(undoing, revert);
  if (reverted.kind !== 'proposed') return reverted.kind !== 'skipped';
  run.record.proposed(`${stage.name} roll-back`, reverted.proposal);
  const proposeAgain = async (): Promise<Proposal | undefined> => {
    const again = await unlimited(revert);
    return again.kind === 'proposed' ? again.proposal : undefined;
  };
  const at = { step: 'rollback', stage: stage.name } as const;
  const merging: Merging = { run, stage, image: running.image, at, proposeAgain, mayEnd: false, proposal: reverted.proposal };
  let tries = 0;
  const merged = await part(undoing, async (): Promise<RevertOutcome | Merged> => {
    tries += 1;
    if (tries === 1) return await mergeInTurn(merging);
    const again = await unlimited(revert);
    if (again.kind !== 'proposed') return again;
    merging.proposal = again.proposal;
    return await mergeInTurn(merging);
  });
  return merged.kind !== 'skipped';
}

type Part = Deployed | Watched | RevertOutcome | Merged;

/** One part of the roll-back. A part that fails is blocked, loudly; where nobody decides, the rollout failed. */
async function part<Outcome extends Part>({ run, stage }: Undoing, act: () => Promise<Outcome>) {
  const handling: Handling = {
    continues: true,
    undecided: 'failed',
    instead: (failure) => ({ ...failure, message: `the roll-back of ${stage.name} is not done: ${failure.message}` }),
    rejected: (by, reason) =>
      endRollout({ end: 'failed', reason: `the roll-back of ${stage.name} was given up by ${by}: ${reason}` }),
  };
  return await takeStep<Part>(run, { step: 'rollback', stage: stage.name }, act, handling);
}

/** Where there is nothing to go back to, an operator may say to leave it at that. */
async function requireSomethingBefore(undoing: Undoing) {
  const { before, running, verdict, stage } = undoing;
  return await part(undoing, async (): Promise<Deployed> => {
    if (before.length > 0 || (stage.deploy === undefined && running.proposal?.before !== undefined)) {
      return { kind: 'deployed', changed: false, running: before, text: '' };
    }
    throw refusal(
      'NothingBefore',
      `nothing ran in ${stage.name} before (a first deployment), so there is nothing to go back to: ${verdict.reason}; push a mended image and abort this rollout`,
    );
  });
}

/** What the host said, else what Landfall itself had brought there, else what the repository said. */
function whatRanBefore(stage: StagePlan, { before, proposal, plan }: Running): readonly RunningImage[] {
  if (before.running.length > 0 || isOnHost(stage.deploy)) return before.running;
  if (before.image !== undefined) {
    const { repository, tag, digest } = before.image;
    return [{ name: plan.service, reference: `${repository}:${tag}@${digest}`, digest }];
  }
  return [...new Set(proposal?.before ?? [])].flatMap((reference) => {
    const parsed = parsedReference(reference);
    if (parsed === undefined) return [];
    return [{ name: plan.service, reference, ...(parsed.digest !== undefined && { digest: parsed.digest }) }];
  });
}

/** What has to be proven to run again; undefined where not all that the probes compare is known of it, so that nothing is. */
function expectedOf(before: readonly RunningImage[], { probes }: WatchPlan): ExpectedImage | undefined {
  const [first, ...others] = before;
  const digest = first?.digest;
  if (first === undefined || digest === undefined || others.some((other) => other.digest !== digest)) return undefined;
  const tag = parsedReference(first.reference)?.tag;
  const expected = { digest, ...(tag !== undefined && { tag }) };
  const compared = probes.flatMap((probe) =>
    probe.kind === 'http' && probe.version !== undefined ? [probe.version.equals] : [],
  );
  return compared.every((equals) => expectedVersion(equals, expected) !== undefined) ? expected : undefined;
}

/** What stood in a file may be no reference at all, such as a bare tag. */
function parsedReference(text: string): ReturnType<typeof parseReference> | undefined {
  try {
    return parseReference(text);
  } catch {
    return undefined;
  }
}
