import { ApplicationFailure, CancellationScope, isCancellation, log } from '@temporalio/workflow';
import { parseReference } from '../../../domain/image-reference.ts';
import type { Running } from '../../../domain/lane/state.ts';
import type { RunningImage, StepOutcome } from '../../../domain/outcomes.ts';
import type { StagePlan, WatchPlan } from '../../../domain/plan.ts';
import { type ExpectedImage, expectedVersion } from '../../../domain/watch.ts';
import { type Ending, RolloutEnded } from '../record.ts';
import { network, onHost } from '../steps/proxies.ts';
import { failureOf, type StageRun, type StepRules, takeStep } from '../steps/take-step.ts';
import { OpenProposal } from './merge.ts';

/** Why, and by whose turn, a stage is rolled back. */
interface RollbackCause {
  readonly reason: string;
  readonly by: string;
  readonly turn: number;
  /** How the reason is told where nothing is rolled back. */
  readonly reasonIfNot?: string;
  /** The last lines of what is not healthy. */
  readonly log?: string;
}

/** One rollback of one stage. */
interface Rollback {
  readonly run: StageRun;
  readonly running: Running;
  readonly cause: RollbackCause;
  /** What comes back. */
  readonly before: readonly RunningImage[];
}

/** What came of it, where what ran before is back. */
interface RolledBack {
  /** When it was seen to be healthy, in milliseconds; `skipped`: an operator said to go on without that. */
  readonly healthyAt: number | 'skipped' | undefined;
  /** What people have to know of how it came back. */
  readonly notes: readonly string[];
}

/**
 * Rolls back what a stage runs: first the running system, then the repository, or the other way round where something else deploys what the
 * repository says. Neither hold nor windows nor approvals keep it from that, and a rollback is never rolled back itself.
 */
export async function rollBack(run: StageRun, running: Running, found: RollbackCause): Promise<Ending> {
  const { stage, record, lane } = run;
  // The image need not be to blame: what came along with it is rolled back in the running system too, and stays in the repository.
  const along = running.cameAlong && `; besides the image, this came along, and stays in the repository: ${running.cameAlong}`;
  const reason = `${found.reason}${along ?? ''}`;
  const cause = { ...found, reason };
  const rollback: Rollback = { run, running, cause, before: whatRanBefore(stage, running) };
  const startedAt = Date.now();
  record.stop(stage.name, reason);
  const { log } = found;
  const advice = 'nothing: what ran before is being brought back';
  record.notify('unhealthy', { stage: stage.name, reason, advice, ...(log !== undefined && { log }) });
  if (!(await isSomethingBefore(rollback))) return notRolledBack(rollback);
  const reportedAt = new Date().toISOString();
  await lane.reportRolledBack(stage.name, { digest: running.digest, reason, by: cause.by, at: reportedAt });
  const rolledBack = stage.deploy === undefined ? await repositoryFirst(rollback) : await systemFirst(rollback);
  if (rolledBack === undefined) {
    await lane.reportNotRolledBack(stage.name, running, reportedAt);
    return notRolledBack(rollback);
  }
  const text = textOf(rollback, rolledBack, startedAt);
  record.settle(run.at('rollback'), 'passed', text);
  return { end: 'rolled-back', stage: stage.name, reason: `${stage.name}: ${reason}; ${text}` };
}

/** The running system first: neither registry nor forge is needed for that. @returns nothing where it was left as it is */
async function systemFirst(rollback: Rollback): Promise<RolledBack | undefined> {
  const { run, cause, before } = rollback;
  const input = { ...run.input, turn: cause.turn, before };
  const restored = await untilBack(rollback, () => part(run, () => onHost(run.stage).rollBackStage(input)));
  if (restored.kind === 'skipped') return undefined;
  const healthyAt = await watchAgain(rollback, restored.running);
  const reverted = await revertRepository(rollback);
  await discardPrevious(run);
  const left = reverted === undefined ? ['the repository was left as it is'] : [];
  return { healthyAt, notes: [...(restored.note === undefined ? [] : [restored.note]), ...left] };
}

/** @returns nothing where the repository, and with it the stage, was left as it is */
async function repositoryFirst(rollback: Rollback): Promise<RolledBack | undefined> {
  const reverted = await untilBack(rollback, () => revertRepository(rollback));
  return reverted && { healthyAt: await watchAgain(rollback, [], reverted.commit), notes: [] };
}

/**
 * Where the rollback is given up before anything is back, or aborted while it is blocked, the lane has to know what runs; the digest stays in
 * quarantine.
 */
async function untilBack<Result>({ run, running }: Rollback, act: () => Promise<Result>): Promise<Result> {
  const { name } = run.stage;
  try {
    return await act();
  } catch (error) {
    const isGivenUp = error instanceof RolloutEnded && error.ending.end === 'failed';
    const isBlocked = run.record.blocked().some(({ step, stage }) => step === 'rollback' && stage === name);
    if (isGivenUp || (isCancellation(error) && isBlocked))
      await CancellationScope.nonCancellable(() => run.lane.reportNotRolledBack(name, running));
    throw error;
  }
}

/** @param commit what the repository got by its revert, where something else deploys it */
async function watchAgain(
  { run, before }: Rollback,
  running: readonly RunningImage[],
  commit?: string,
): Promise<RolledBack['healthyAt']> {
  const { stage } = run;
  if (stage.watch === undefined) return undefined;
  const expected = expectedOf(before, stage.watch);
  const watch = shortened(stage.watch);
  const proven = { ...(expected !== undefined && { expected }), ...(commit !== undefined && { commit }) };
  const input = { ...run.input, stage: { ...stage, watch }, running, ...proven };
  const beganAt = Date.now();
  const watched = await part(run, () => onHost(stage).watchStage(input));
  if (watched.kind === 'skipped') return 'skipped';
  return beganAt + watched.healthyAfterMs;
}

/**
 * Brings the previous image back to the base branch, where that still has ours.
 * @returns the commit by which it has that, as far as there is one; nothing where an operator said to leave it
 */
async function revertRepository({ run, running, cause }: Rollback): Promise<{ readonly commit?: string } | undefined> {
  const { proposal } = running;
  if (proposal === undefined || run.stage.change === undefined) return {};
  const revert = { ...run.input, proposal, reason: cause.reason };
  const reverted = await part(run, () => network.revertChange(revert));
  if (reverted.kind === 'skipped') return undefined;
  if (reverted.kind === 'unchanged') return { commit: reverted.head };
  run.record.proposed(`${run.stage.name} rollback`, reverted.proposal);
  return await new OpenProposal(run, reverted.proposal, { revert }).merge(partRules);
}

/** A part that fails is blocked, loudly; where nobody decides, the rollout failed. */
const partRules: StepRules = { continues: true, rejection: 'given-up' };

async function part<Outcome extends StepOutcome>(run: StageRun, act: () => Promise<Outcome>) {
  return await takeStep(run, run.at('rollback'), act, partRules);
}

/** @returns false where there is nothing to go back to, and an operator said to leave it at that */
async function isSomethingBefore({ run, running, cause, before }: Rollback): Promise<boolean> {
  const outcome = await part(run, async () => {
    const isSomething = before.length > 0 || (run.stage.deploy === undefined && running.proposal?.before !== undefined);
    if (isSomething) return { kind: 'ready' as const };
    throw ApplicationFailure.nonRetryable(
      `nothing ran in ${run.stage.name} before (a first deployment), so there is nothing to go back to: ${cause.reason}; push a mended image and abort this rollout`,
      'NothingBefore',
    );
  });
  return outcome.kind !== 'skipped';
}

/** An operator said to leave the stage as it is: it still runs what is not healthy. */
function notRolledBack({ run, cause }: Rollback): Ending {
  const { reason, reasonIfNot = reason } = cause;
  const { name } = run.stage;
  return { end: 'failed', stage: name, reason: `${name}: ${reasonIfNot}; nothing was rolled back` };
}

function textOf({ before }: Rollback, { healthyAt, notes }: RolledBack, startedAt: number): string {
  const references = new Set(before.map(({ reference }) => reference));
  const what = [...references].join(', ') || 'what was before';
  const rest = notes.map((note) => `; ${note}`).join('');
  if (healthyAt === 'skipped') return `${what} was brought back, and was not seen to be healthy${rest}`;
  const after = healthyAt === undefined ? '' : `, healthy ${((healthyAt - startedAt) / 1000).toFixed(1)} s after the verdict`;
  return `${what} is back${after}${rest}`;
}

/** Removes what was kept for a rollback. Where that fails, it is kept a while longer, and nothing else is wrong. */
export async function discardPrevious({ stage, input }: StageRun): Promise<void> {
  try {
    await onHost(stage).discardPrevious(input);
  } catch (error) {
    log.warn('what was kept for a rollback could not be removed', { stage: stage.name, message: failureOf(error).message });
  }
}

/** What the host said, else what Landfall itself had brought there, else what the repository said. */
function whatRanBefore(stage: StagePlan, { before, proposal, plan }: Running): readonly RunningImage[] {
  if (before.running.length > 0 || stage.deploy?.host !== undefined) return before.running;
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

/** After a rollback it is enough to see that it is back. */
function shortened(watch: WatchPlan): WatchPlan {
  const forMs = Math.min(watch.forMs, 30_000);
  return { ...watch, forMs, withinMs: Math.max(watch.withinMs - watch.forMs + forMs, forMs + 60_000) };
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
