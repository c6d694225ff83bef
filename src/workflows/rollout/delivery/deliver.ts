import { CancellationScope, workflowInfo } from '@temporalio/workflow';
import type { Running } from '../../../domain/lane/running.ts';
import type { StageOutcome } from '../ending.ts';
import type { StageRun } from '../stage-run.ts';
import { deployAndWatch, NotHealthy } from './deploy.ts';
import { change, isDispatchOnly, type StageChange, type StageDelivery } from './merge.ts';
import { rollBack } from './rollback.ts';
import { snapshot } from './snapshot.ts';

/**
 * What is left to do in a stage. `nothing`: it has the image. `watch`: it has, and whether it is healthy is seen before the next stage
 * begins, because an earlier run of the rollout may have ended before it knew.
 */
export type Need = 'nothing' | 'watch' | 'change';

/** Merges, deploys and watches; what is not healthy is rolled back. */
export async function deliver(delivery: StageDelivery, need: Exclude<Need, 'nothing'>): Promise<StageOutcome> {
  const { run } = delivery;
  const { stage, lane, record, notifier } = run;
  const changed = await change(delivery, need);
  if (changed.isSkipped) return 'skipped';
  const running = runningOf(run, changed);
  // A merge that went through although the rollout was aborted meanwhile has to be known, or nobody could roll it back.
  await CancellationScope.nonCancellable(() => lane.reportRunning(stage.name, running));
  const along = running.cameAlong;
  notifier.notify('deploying', { stage: stage.name, ...(along !== undefined && { reason: `besides the image: ${along}` }) });
  try {
    await deployAndWatch(run, changed);
  } catch (error) {
    if (!(error instanceof NotHealthy)) throw error;
    const cause = { reason: error.message, by: error.by ?? 'Landfall', turn: changed.allowed.turn };
    return await rollBack(run, { ...running, ...cameAlong(changed) }, cause);
  }
  record.reached(stage.name);
  const isWatched = stage.watch !== undefined && !record.isWaived(run.at('watch'));
  notifier.notify('healthy', { stage: stage.name, ...(!isWatched && { watched: false as const }) });
  return 'reached';
}

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

/** What the lane remembers of the stage from now on: what it runs, and all that it takes to roll it back. */
function runningOf({ start, stage, image }: StageRun, changed: StageChange): Running {
  const { repository, tag, digest } = image;
  const { before, merged, allowed } = changed;
  const { again } = allowed;
  const { proposal, commit } = merged ?? again ?? {};
  return {
    repository,
    tag,
    digest,
    since: new Date().toISOString(),
    rollout: workflowInfo().workflowId,
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
