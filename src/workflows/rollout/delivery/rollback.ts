import { parseReference } from '../../../domain/image-reference.ts';
import type { Running } from '../../../domain/lane/running.ts';
import type { Deployed, Proposal, RevertOutcome, RunningImage, Watched } from '../../../domain/outcomes.ts';
import type { StagePlan, WatchPlan } from '../../../domain/plan.ts';
import { type ExpectedImage, expectedVersion } from '../../../domain/watch-version.ts';
import { refusal } from '../../failure.ts';
import { unlimited } from '../../rate-limit.ts';
import { type Ending, endingIn, endRollout } from '../ending.ts';
import type { StageRun } from '../stage-run.ts';
import { network, onHost } from '../steps/proxies.ts';
import { type Handling, takeStep } from '../steps/take-step.ts';
import { discardPrevious } from './deploy.ts';
import { type MergeResult, mergeInTurn, OpenProposal } from './merge.ts';

/** Why, and by whose turn, a stage is rolled back. */
export interface RollbackCause {
  readonly reason: string;
  readonly by: string;
  readonly turn: number;
  /** How the reason is told where nothing is rolled back. */
  readonly reasonIfNot?: string;
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
  const { stage, record, lane, notifier } = run;
  const cause = { ...found, reason: withOtherChanges(found.reason, running) };
  const rollback: Rollback = { run, running, cause, before: whatRanBefore(stage, running) };
  const startedAt = Date.now();
  record.stop(stage.name, cause.reason);
  record.add(run.at('rollback'));
  notifier.notify('unhealthy', {
    stage: stage.name,
    reason: cause.reason,
    advice: 'nothing: what ran before is being brought back',
  });
  if (!(await isSomethingBefore(rollback))) return notRolledBack(rollback);
  const reportedAt = new Date().toISOString();
  await lane.reportRolledBack(stage.name, { digest: running.digest, reason: cause.reason, by: cause.by, at: reportedAt });
  const rolledBack = stage.deploy === undefined ? await repositoryFirst(rollback) : await systemFirst(rollback);
  if (rolledBack === undefined) {
    await lane.reportNotRolledBack(stage.name, running, reportedAt);
    return notRolledBack(rollback);
  }
  const text = textOf(rollback, rolledBack, startedAt);
  record.settle(run.at('rollback'), 'passed', text);
  return { end: 'rolled-back', stage: stage.name, reason: `${stage.name}: ${cause.reason}; ${text}` };
}

/** The running system first: neither registry nor forge is needed for that. @returns nothing where it was left as it is */
async function systemFirst(rollback: Rollback): Promise<RolledBack | undefined> {
  const { run, running, cause, before } = rollback;
  const input = { ...run.input(), image: running.image, turn: cause.turn, before };
  const restored = await untilBack(rollback, () => part(rollback, () => onHost(run.stage).rollBackStage(input)));
  if (restored.kind !== 'deployed') return undefined;
  const healthyAt = await watchAgain(rollback, restored.running);
  const isReverted = await revertRepository(rollback);
  await discardPrevious(run);
  const left = isReverted ? [] : ['the repository was left as it is'];
  return { healthyAt, notes: [...(restored.note === undefined ? [] : [restored.note]), ...left] };
}

/** @returns nothing where the repository, and with it the stage, was left as it is */
async function repositoryFirst(rollback: Rollback): Promise<RolledBack | undefined> {
  const isReverted = await untilBack(rollback, () => revertRepository(rollback));
  return isReverted ? { healthyAt: await watchAgain(rollback, []), notes: [] } : undefined;
}

/** Where the rollback is given up before anything is back, the lane has to know what runs; the digest stays in quarantine. */
async function untilBack<Result>({ run, running }: Rollback, act: () => Promise<Result>): Promise<Result> {
  try {
    return await act();
  } catch (error) {
    if (endingIn(error)?.end === 'failed') await run.lane.reportNotRolledBack(run.stage.name, running);
    throw error;
  }
}

async function watchAgain(
  { run, running, before }: Rollback,
  restored: readonly RunningImage[],
): Promise<RolledBack['healthyAt']> {
  const { stage } = run;
  if (stage.watch === undefined) return undefined;
  const expected = expectedOf(before, stage.watch);
  const input = {
    ...run.input(),
    stage: { ...stage, watch: shortened(stage.watch) },
    image: running.image,
    running: restored,
    ...(expected !== undefined && { expected }),
  };
  const beganAt = Date.now();
  const watched = await part({ run }, () => onHost(stage).watchStage(input));
  if (watched.kind === 'skipped') return 'skipped';
  return watched.kind === 'watched' ? beganAt + watched.healthyAfterMs : undefined;
}

/** Brings the previous image back to the base branch, where that still has ours. @returns false where an operator said to leave it */
async function revertRepository(rollback: Rollback): Promise<boolean> {
  const { run, running, cause } = rollback;
  const { proposal } = running;
  if (proposal === undefined || run.stage.change === undefined) return true;
  const input = { ...run.input(), image: running.image, proposal, reason: cause.reason };
  const revert = (): Promise<RevertOutcome> => network.revertChange(input);
  const reverted = await part(rollback, revert);
  if (reverted.kind !== 'proposed') return reverted.kind !== 'skipped';
  run.record.proposed(`${run.stage.name} rollback`, reverted.proposal);
  const revertAgain = async (): Promise<Proposal | undefined> => {
    const again = await unlimited(revert);
    return again.kind === 'proposed' ? again.proposal : undefined;
  };
  const open = new OpenProposal({ ...run, image: running.image }, 'rollback', reverted.proposal, revertAgain);
  let tries = 0;
  const merged = await part(rollback, async (): Promise<MergeResult> => {
    tries += 1;
    if (tries > 1 && !(await open.again())) return { kind: 'merged', commit: open.current.head };
    return await mergeInTurn(open);
  });
  return merged.kind !== 'skipped';
}

type Part = Deployed | Watched | RevertOutcome | MergeResult;

/** One part of the rollback. A part that fails is blocked, loudly; where nobody decides, the rollout failed. */
async function part<Outcome extends Part>({ run }: Pick<Rollback, 'run'>, act: () => Promise<Outcome>) {
  const { name } = run.stage;
  const handling: Handling = {
    continues: true,
    undecided: 'failed',
    instead: (failure) => ({ ...failure, message: `the rollback of ${name} is not done: ${failure.message}` }),
    rejected: (by, reason) => endRollout({ end: 'failed', reason: `the rollback of ${name} was given up by ${by}: ${reason}` }),
  };
  return await takeStep<Part>(run, run.at('rollback'), act, handling);
}

/** @returns false where there is nothing to go back to, and an operator said to leave it at that */
async function isSomethingBefore(rollback: Rollback): Promise<boolean> {
  const { run, running, cause, before } = rollback;
  const outcome = await part(rollback, async (): Promise<Deployed> => {
    if (before.length > 0 || (run.stage.deploy === undefined && running.proposal?.before !== undefined)) {
      return { kind: 'deployed', changed: false, running: before, text: '' };
    }
    throw refusal(
      'NothingBefore',
      `nothing ran in ${run.stage.name} before (a first deployment), so there is nothing to go back to: ${cause.reason}; push a mended image and abort this rollout`,
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

/** The image need not be to blame: what came along with it is rolled back in the running system too, and stays in the repository. */
function withOtherChanges(reason: string, { cameAlong }: Running): string {
  if (cameAlong === undefined) return reason;
  return `${reason}; besides the image, this came along, and stays in the repository: ${cameAlong}`;
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
