import { ApplicationFailure, CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { Running } from '../../../domain/lane/state.ts';
import type { CheckResult, Deployed, Proposal, StageSnapshot } from '../../../domain/outcomes.ts';
import type { DeployPlan, StagePlan } from '../../../domain/plan.ts';
import type { StepName } from '../../../domain/rollout-state.ts';
import type { Allowed, StageOutcome } from '../lane-client.ts';
import type { StepAt } from '../record.ts';
import { dispatch } from '../steps/propose.ts';
import { onHost } from '../steps/proxies.ts';
import { NotHealthy, OtherChangesConsent, rejectedIn, type StageRun, type StepRules, takeStep } from '../steps/take-step.ts';
import { OpenProposal } from './merge.ts';
import { discardPrevious, rollBack } from './rollback.ts';

/** An image that is to be brought to a stage, once everybody who has a say has said yes. */
interface StageDelivery {
  readonly run: StageRun;
  readonly checks: readonly CheckResult[];
  /** Absent where nothing is proposed: the base branch has it, or the stage has no change. */
  readonly proposal: Proposal | undefined;
}

/**
 * What is left to do in a stage. `nothing`: it has the image. `watch`: it has, and whether it is healthy is seen before the next stage
 * begins, because an earlier run of the rollout may have ended before it knew.
 */
type Need = 'nothing' | 'watch' | 'change';

/** What was found just before a change, and what the merge came to. */
interface StageChange {
  readonly allowed: Allowed;
  readonly before: StageSnapshot;
  readonly merged?: { readonly commit: string; readonly proposal: Proposal };
  readonly consent: OtherChangesConsent;
}

/** A snapshot that is this old still counts. */
const freshForMs = 60_000;

export async function needOf({ run, proposal }: StageDelivery): Promise<Need> {
  const { stage, image, record } = run;
  if (proposal !== undefined) return 'change';
  const once = stage.watch === undefined ? 'nothing' : 'watch';
  if (stage.deploy === undefined) return isDispatchOnly(stage) ? 'change' : once;
  const { running } = await snapshot(run, 'deploy');
  if (running.length === 0 || running.some(({ digest }) => digest !== image.digest)) return 'change';
  record.settle(run.at('deploy'), 'passed', 'it runs already');
  return once;
}

/** Merges, deploys and watches; what is not healthy is rolled back. */
export async function deliver(delivery: StageDelivery, need: Exclude<Need, 'nothing'>): Promise<StageOutcome> {
  const { run } = delivery;
  const { stage, lane, record } = run;
  const changed = await change(delivery, need);
  if (changed === 'skipped') return changed;
  const running = runningOf(run, changed);
  // A merge that went through although the rollout was aborted meanwhile has to be known, or nobody could roll it back.
  await CancellationScope.nonCancellable(() => lane.reportRunning(stage.name, running));
  const along = running.cameAlong;
  record.notify('deploying', { stage: stage.name, ...(along !== undefined && { reason: `besides the image: ${along}` }) });
  try {
    throwIfRejected(run);
    await deployAndWatch(run, changed);
  } catch (error) {
    if (!(error instanceof NotHealthy)) throw error;
    const cause = {
      reason: error.message,
      by: error.by ?? 'Landfall',
      turn: changed.allowed.turn,
      ...(error.log !== undefined && { log: error.log }),
    };
    return await rollBack(run, { ...running, ...cameAlong(changed) }, cause);
  }
  record.delivered.push(stage.name);
  const isWatched = stage.watch !== undefined && !record.isWaived(run.at('watch'));
  record.notify('healthy', { stage: stage.name, ...(!isWatched && { watched: false as const }) });
  return 'reached';
}

/** Somebody said no while it was being merged: that is undone. @throws NotHealthy */
function throwIfRejected({ decisions, at }: StageRun): void {
  const made = decisions.isRejected(at('merge')) ? decisions.take(at('merge')) : undefined;
  if (made !== undefined) throw rejectedIn(made);
}

/** What the lane remembers of the stage from now on: what it runs, and all that it takes to roll it back. */
function runningOf({ start, stage, image }: StageRun, changed: StageChange): Running {
  const { repository, tag, digest } = image;
  const { before, merged, allowed } = changed;
  const { again } = allowed;
  const { proposal, commit } = merged ?? again ?? {};
  return {
    ...{ repository, tag, digest, since: new Date().toISOString(), rollout: workflowInfo().workflowId },
    plan: { ...start.plan, stages: [stage] },
    image,
    before: again?.before ?? {
      // What runs this digest already is nothing to go back to.
      running: before.running.filter((running) => running.digest !== digest),
      ...(allowed.before !== undefined && { image: allowed.before }),
    },
    ...(proposal !== undefined && { proposal }),
    ...(commit !== undefined && { commit }),
    ...cameAlong(changed),
  };
}

function cameAlong({ consent: { text } }: StageChange): Pick<Running, 'cameAlong'> {
  return text === undefined ? {} : { cameAlong: text };
}

/**
 * Opens the gate, takes the snapshot, and merges, in the order of the stage's mode. The gate is where a rollout may begin to change
 * something: until then a newer image supersedes it and people can reject it, from then on it is delivered. So what is slow, and what needs
 * a person, comes before it.
 */
async function change(delivery: StageDelivery, need: 'watch' | 'change'): Promise<StageChange | 'skipped'> {
  const { run, checks, proposal } = delivery;
  if (proposal === undefined) return need === 'watch' ? await nothingToChange(run) : await withoutMerge(run);
  const open = new OpenProposal(run, proposal, { checks });
  return run.stage.change?.merge === 'manual' ? await mergedByPerson(run, open) : await mergedByLandfall(run, open);
}

async function nothingToChange(run: StageRun): Promise<StageChange> {
  // Windows are for changes, and there may be none.
  const allowed = await run.lane.beginChange({ ...run.stage, windows: [] });
  return { allowed, before: await snapshot(run, deployOrWatch(run.stage)), consent: new OtherChangesConsent() };
}

async function withoutMerge(run: StageRun): Promise<StageChange | 'skipped'> {
  const consent = new OtherChangesConsent();
  const opened = await openGateAndLook(run, deployOrWatch(run.stage), consent);
  const isSent = run.stage.change !== undefined || (await dispatch(run));
  return !isSent && isDispatchOnly(run.stage) ? 'skipped' : { ...opened, consent };
}

/**
 * A person merges when they like, so the snapshot is taken before they can; and once more where nothing happens to the stage by the merge alone,
 * as it may have been days.
 */
async function mergedByPerson(run: StageRun, open: OpenProposal): Promise<StageChange> {
  const consent = new OtherChangesConsent();
  const early = await snapshot(run, 'merge', consent);
  const merged = await open.untilMergeable('person');
  const allowed = await run.lane.beginChange(run.stage);
  const before = run.stage.deploy?.host === undefined ? early : await snapshot(run, 'deploy', consent);
  return { allowed, before, consent, merged: { commit: merged?.commit ?? open.current.head, proposal: open.current } };
}

async function mergedByLandfall(run: StageRun, open: OpenProposal): Promise<StageChange> {
  const consent = new OtherChangesConsent();
  const early = await open.untilMergeable('landfall', { continues: true });
  const opened = await openGateAndLook(run, 'merge', consent, open.at);
  if (early !== undefined) run.record.settle(open.at, 'passed', `merged by ${early.by ?? 'somebody'}`);
  const merged = early ?? (await open.merge());
  return { ...opened, consent, merged: { commit: merged?.commit ?? open.current.head, proposal: open.current } };
}

/**
 * The snapshot is of what runs once the gate is open. Where a person may have to decide on it, it is taken before, and once more only if the
 * gate kept us waiting: each one costs six events of history.
 * @param at a step that operators may reject until the gate is open
 */
async function openGateAndLook(
  run: StageRun,
  step: StepName,
  consent: OtherChangesConsent,
  at?: StepAt,
): Promise<Pick<StageChange, 'allowed' | 'before'>> {
  const early = run.stage.deploy?.foresees ? await snapshot(run, step, consent) : undefined;
  const lookedAt = Date.now();
  const allowed = await run.lane.beginChange(run.stage, at);
  const isFresh = Date.now() - lookedAt < freshForMs;
  return { allowed, before: early !== undefined && isFresh ? early : await snapshot(run, step, consent) };
}

function deployOrWatch({ deploy }: StagePlan): StepName {
  return deploy === undefined ? 'watch' : 'deploy';
}

function isDispatchOnly({ change, deploy, dispatch: sent }: StagePlan): boolean {
  return sent !== undefined && change === undefined && deploy === undefined;
}

/**
 * What a stage runs, and whether it is healthy, before anything changes.
 * @param step which people see blocked where nobody can tell
 * @param consent where a change is to come: what would be refused then is refused now, and an operator decides on what comes along
 */
async function snapshot(run: StageRun, step: StepName, consent?: OtherChangesConsent): Promise<StageSnapshot> {
  const { stage, input } = run;
  const nothing: StageSnapshot = { kind: 'snapshot', running: [] };
  if (stage.deploy === undefined && stage.watch === undefined) return nothing;
  const take = () => onHost(stage).snapshotStage({ ...input, ...(consent && { foresee: true, ...consent.input }) });
  const outcome = await takeStep(run, run.at(step), take, { continues: true, ...(consent !== undefined && { consent }) });
  return outcome.kind === 'skipped' ? nothing : outcome;
}

/** Batch after batch. @throws NotHealthy */
async function deployAndWatch(run: StageRun, change: StageChange): Promise<void> {
  const { stage, record } = run;
  const batches = batchesOf(stage.deploy, change.before);
  const texts: string[] = [];
  for (const [index, only] of batches.entries()) {
    const deployed = await deploy(run, change, only);
    texts.push(deployed.text);
    if (texts.length > 1) record.settle(run.at('deploy'), 'passed', texts.join('; then, once that was healthy, '));
    await watch(run, change, deployed, index === batches.length - 1);
  }
  if (stage.watch === undefined && stage.deploy !== undefined) await discardPrevious(run);
}

/** The first few first, where the plan says so; `undefined` is all that there is. */
function batchesOf(deploy: DeployPlan | undefined, { running }: StageSnapshot): (readonly string[] | undefined)[] {
  if (deploy?.parts !== undefined) return deploy.parts.map((part) => [part]);
  if (deploy === undefined || (deploy.canary === undefined && deploy.batch === undefined)) return [undefined];
  const names = running.map(({ name }) => name);
  const first = deploy.canary ?? deploy.batch ?? names.length;
  const batches = [names.slice(0, first)];
  const size = deploy.batch ?? names.length;
  for (let start = first; start < names.length; start += size) batches.push(names.slice(start, start + size));
  return batches;
}

async function deploy(run: StageRun, change: StageChange, only: readonly string[] | undefined): Promise<Deployed> {
  const { stage, input } = run;
  const { allowed, consent } = change;
  if (stage.deploy === undefined) return { kind: 'deployed', changed: false, running: [], text: '' };
  const wanted = { ...input, turn: allowed.turn, ...(only !== undefined && { only }) };
  const act = () => onHost(stage).deployStage({ ...wanted, ...consent.input });
  const outcome = await takeStep(run, run.at('deploy'), act, { ...rulesOf(stage, 'DeployFailed'), consent });
  // Only what came along since the snapshot can be let through here.
  if (outcome.kind === 'skipped') throw ApplicationFailure.nonRetryable('a deploy cannot be skipped', 'DeployFailed');
  return outcome;
}

async function watch(run: StageRun, { before, merged }: StageChange, { running }: Deployed, isLast: boolean): Promise<void> {
  const { stage, image } = run;
  if (stage.watch === undefined) return;
  const { digest, tag, revision } = image;
  const expected = { digest, tag, ...(revision !== undefined && { revision }) };
  const input = { ...run.input, expected, running, discardsPrevious: isLast, ...(merged && { commit: merged.commit }) };
  const { reading } = before;
  const rules: StepRules =
    reading === undefined || reading.healthy ? rulesOf(stage, 'Unhealthy') : { rejection: 'unhealthy', unhealthyBefore: reading };
  await takeStep(run, run.at('watch'), () => onHost(stage).watchStage(input), rules);
}

/** Rolled back automatically where the stage is set to that, or when an operator rejects it. Where nobody decides, it failed. */
function rulesOf({ rollback }: StagePlan, unhealthyOn: string): StepRules {
  return { rejection: 'unhealthy', ...(rollback === 'auto' && { unhealthyOn }) };
}
