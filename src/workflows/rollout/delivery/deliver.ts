import { CancellationScope, patched } from '@temporalio/workflow';
import type { Running } from '../../../domain/lane/running.ts';
import type { CheckResults, Proposal, Survey, VerifiedImage } from '../../../domain/outcomes.ts';
import type { StagePlan } from '../../../domain/plan.ts';
import type { Rollout } from '../context.ts';
import type { Ending } from '../ending.ts';
import type { Allowed } from '../lane-client.ts';
import { approve } from '../steps/approve.ts';
import { dispatch, endOutdated, proposalInput } from '../steps/propose.ts';
import { network } from '../steps/proxies.ts';
import { takeStep, unlimited } from '../steps/take-step.ts';
import { type Agreed, alongOf, bring, NotHealthy, survey, surveyChange } from './deploy.ts';
import { type Merged, type Merging, mergeInTurn, rejectionOf, untilMergeable } from './merge.ts';
import { undo } from './rollback.ts';

/** What is to be brought to a stage, once everybody who has a say has said yes. */
export interface Delivery {
  readonly run: Rollout;
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  readonly checks: CheckResults;
  /** Absent where nothing is proposed, because the base branch has it or the stage has no change. */
  readonly proposal: Proposal | undefined;
}

/**
 * What is left to do in a stage. `nothing`: it has the image. `watch`: it has, and whether it is healthy is seen before the next stage
 * begins, because an earlier run of the rollout may have ended before it knew.
 */
export type Need = 'nothing' | 'watch' | 'change';

/** A look of so long ago still tells what runs. */
const freshForMs = 60_000;

/** What was found just before the change, and what the merge came to. */
interface Changed {
  readonly allowed: Allowed;
  readonly before: Survey;
  readonly merged?: { readonly commit: string; readonly proposal: Proposal };
  readonly agreed: Agreed;
  /** The stage is nothing but a dispatch, and an operator said to go on without it. */
  readonly isPassedBy?: boolean;
}

/**
 * Merges, deploys and watches, or undoes what does not do.
 * @returns an ending, where the rollout ends in this stage; `passed-by`, where nothing was brought to it and the next may begin
 */
export async function deliver(delivery: Delivery, need: Need): Promise<Ending | 'passed-by' | undefined> {
  const { run, stage, image } = delivery;
  if (isDispatchAlone(stage) && !patched('gated-dispatch')) {
    // Up to 0.1 such a stage knew neither gate nor memory, and the last one ended the rollout.
    await dispatch(run, stage, image);
    return run.start.plan.stages.at(-1)?.name === stage.name ? { end: 'delivered', reason: 'dispatched' } : undefined;
  }
  const changed = await change(delivery, need);
  const { allowed, before, agreed } = changed;
  if (changed.isPassedBy && patched('skipped-dispatch')) return 'passed-by';
  const running = runningOf(delivery, changed);
  // A merge that went through although the rollout was aborted meanwhile has to be known, or nobody could undo it.
  await CancellationScope.nonCancellable(() => run.lane.tellRunning(stage.name, running));
  run.tell.now('deploying', {
    stage: stage.name,
    ...(running.cameAlong !== undefined && { reason: `besides the image: ${running.cameAlong}` }),
  });
  try {
    const commit = changed.merged?.commit;
    await bring({ run, stage, image, turn: allowed.turn, survey: before, agreed, ...(commit !== undefined && { commit }) });
  } catch (error) {
    if (!(error instanceof NotHealthy)) throw error;
    const verdict = { reason: error.message, by: error.by ?? 'Landfall', turn: allowed.turn };
    return await undo(run, stage, { ...running, ...cameAlong(agreed) }, verdict);
  }
  run.delivered.push(stage.name);
  const isWatched = stage.watch !== undefined && !run.record.isWaived({ step: 'watch', stage: stage.name });
  run.tell.now('healthy', { stage: stage.name, ...(!isWatched && { watched: false as const }) });
  return undefined;
}

function isDispatchAlone({ change, deploy, dispatch: sent }: StagePlan): boolean {
  return sent !== undefined && change === undefined && deploy === undefined;
}

export async function needOf({ run, stage, image, proposal }: Delivery): Promise<Need> {
  if (proposal !== undefined) return 'change';
  const once = stage.watch === undefined ? 'nothing' : 'watch';
  if (stage.deploy === undefined) return stage.change === undefined && stage.dispatch !== undefined ? 'change' : once;
  const at = { step: 'deploy', stage: stage.name } as const;
  const { running } = await survey(run, stage, image, at);
  if (running.length === 0 || running.some(({ digest }) => digest !== image.digest)) return 'change';
  run.record.settle(at, 'passed', 'it runs already');
  return once;
}

/** Changes the repository, or whatever a stage without one has. */
async function change(delivery: Delivery, need: Need): Promise<Changed> {
  const { run, stage, image, proposal } = delivery;
  if (proposal === undefined) {
    const agreed: Agreed = {};
    // Windows are for changes, and there may be none.
    const gate = need === 'watch' ? { ...stage, windows: [] } : stage;
    const at = { step: stage.deploy === undefined ? 'watch' : 'deploy', stage: stage.name } as const;
    const look = () => (need === 'change' ? surveyChange(run, stage, image, at, agreed) : survey(run, stage, image, at));
    const asks = asksFirst(stage) && need === 'change';
    const { allowed, before } = await lookAndBegin(asks, look, () => run.lane.begin(gate, run.patience.begin()));
    const isSent = stage.change !== undefined || need !== 'change' || (await dispatch(run, stage, image));
    return { allowed, before, agreed, ...(!isSent && isDispatchAlone(stage) && { isPassedBy: true }) };
  }
  return stage.merge === 'manual' ? await mergedByHand(delivery, proposal) : await mergedByUs(delivery, proposal);
}

/** A person decides when, so what was before is looked at before they can. */
async function mergedByHand(delivery: Delivery, proposal: Proposal): Promise<Changed> {
  const { run, stage, image } = delivery;
  const at = { step: 'merge', stage: stage.name } as const;
  const agreed: Agreed = {};
  const before = await surveyChange(run, stage, image, at, agreed);
  const merging = mergingOf(delivery, proposal);
  const merged = await untilMerged(merging, async () => (await untilMergeable(merging, 'person')) ?? { kind: 'ready' });
  const allowed = await run.lane.begin(stage, run.patience.begin());
  return { allowed, before, agreed, merged: { commit: merged?.commit ?? merging.proposal.head, proposal: merging.proposal } };
}

/** Everything that is slow, may be given up or needs a person comes before the gate; from the gate on, this image is being delivered. */
async function mergedByUs(delivery: Delivery, proposal: Proposal): Promise<Changed> {
  const { run, stage, image } = delivery;
  const at = { step: 'merge', stage: stage.name } as const;
  const merging = mergingOf(delivery, proposal);
  let merged = await untilMerged(merging, async () => (await untilMergeable(merging, 'landfall')) ?? { kind: 'ready' }, {
    continues: true,
  });
  const agreed: Agreed = {};
  const look = () => surveyChange(run, stage, image, at, agreed);
  const begin = () => run.lane.begin(stage, run.patience.begin(), rejectionOf(merging));
  const { allowed, before } = await lookAndBegin(asksFirst(stage), look, begin);
  const begun: Merging = { ...merging, mayEnd: false };
  if (merged === undefined) merged = await untilMerged(begun, () => mergeInTurn(begun));
  else run.record.settle(at, 'passed', `merged by ${merged.by ?? 'somebody'}`);
  return { allowed, before, agreed, merged: { commit: merged?.commit ?? begun.proposal.head, proposal: begun.proposal } };
}

/**
 * What runs, as it is once the gate is open. Where a person may have to decide, it is looked at before, and once more only where the gate
 * kept us: each look costs six events of history.
 */
async function lookAndBegin(
  asks: boolean,
  look: () => Promise<Survey>,
  begin: () => Promise<Allowed>,
): Promise<Pick<Changed, 'allowed' | 'before'>> {
  const early = asks ? await look() : undefined;
  const lookedAt = Date.now();
  const allowed = await begin();
  const isFresh = Date.now() - lookedAt < freshForMs;
  return { allowed, before: early !== undefined && isFresh ? early : await look() };
}

/** Plans of before say nothing of it, and their rollouts go on as they began. */
function asksFirst({ deploy }: StagePlan): boolean {
  return deploy?.kind === 'compose' && deploy.others !== undefined;
}

function cameAlong(agreed: Agreed): Pick<Running, 'cameAlong'> {
  const along = alongOf(agreed);
  return along === undefined ? {} : { cameAlong: along };
}

function mergingOf({ run, stage, image, checks }: Delivery, proposal: Proposal): Merging {
  const at = { step: 'merge', stage: stage.name } as const;
  const input = proposalInput(run, stage, image, checks);
  let approved = proposal.head;
  const proposeAgain = async (): Promise<Proposal | undefined> => {
    const outcome = await unlimited(() => network.propose(input));
    if (outcome.kind === 'outdated') return endOutdated(image, outcome.tag);
    if (outcome.kind !== 'proposed') return undefined;
    run.record.proposed(stage.name, outcome.proposal);
    const { foreign, head } = outcome.proposal;
    // Nobody has approved what people committed since. What Landfall computes is what was approved, whatever the base has by now.
    if (foreign && head !== approved) await approve(run, stage, image, outcome.proposal);
    approved = head;
    return outcome.proposal;
  };
  return { run, stage, image, at, proposeAgain, mayEnd: true, proposal };
}

/** Takes the step `merge`, or a part of it; after a block, the image is proposed again first. */
async function untilMerged(
  merging: Merging,
  act: () => Promise<Merged | { readonly kind: 'ready' }>,
  handling: { continues?: boolean } = {},
): Promise<Merged | undefined> {
  let tries = 0;
  const outcome = await takeStep(
    merging.run,
    merging.at,
    async () => {
      tries += 1;
      if (tries > 1) merging.proposal = (await merging.proposeAgain()) ?? merging.proposal;
      return await act();
    },
    handling,
  );
  return outcome.kind === 'merged' ? outcome : undefined;
}

function runningOf({ run, stage, image }: Delivery, { allowed, before, merged, agreed }: Changed): Running {
  const { repository, tag, digest } = image;
  const { again } = allowed;
  const { proposal, commit } = merged ?? again ?? {};
  return {
    repository,
    tag,
    digest,
    since: new Date().toISOString(),
    rollout: run.id,
    plan: { ...run.start.plan, stages: [stage] },
    image,
    before: again?.before ?? {
      // What runs this digest already is nothing to go back to.
      running: before.running.filter((running) => running.digest !== digest),
      ...(allowed.before !== undefined && { image: allowed.before }),
    },
    ...(proposal !== undefined && { proposal }),
    ...(commit !== undefined && { commit }),
    ...cameAlong(agreed),
  };
}
