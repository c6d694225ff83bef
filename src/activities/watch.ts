import { setTimeout as delay } from 'node:timers/promises';
import type { WatchActivities, WatchStageInput } from '../contracts/activities/delivery.ts';
import { Refusal } from '../domain/failures.ts';
import type { Unhealthy, Watched } from '../domain/outcomes.ts';
import type { WatchPlan } from '../domain/plan.ts';
import {
  beginWatch,
  observe,
  type Restarts,
  resumeWatch,
  unhealthyDetails,
  unhealthyText,
  type WatchState,
  watchVerdict,
} from '../domain/watch.ts';
import type { CommitCheck } from '../probes/controllers/controller.ts';
import { createDeploymentProof, type DeploymentProof } from '../probes/deployment.ts';
import type { ProbeResult } from '../probes/index.ts';
import { answering, type Heartbeat, orCancelled } from './boundary.ts';
import { createCommitCheck } from './commit-check.ts';
import type { Dependencies } from './dependencies.ts';

export type WatchDependencies = Pick<Dependencies, 'probes' | 'clientFor' | 'forgeFor'>;

/** What goes with the heartbeats. */
interface WatchProgress {
  readonly watch: WatchState;
  readonly restarts?: Restarts | undefined;
  /** A deployment at GitHub that has succeeded need not be asked for again. */
  readonly isDeployed: boolean;
}

const shortestPauseMs = 10;

export function createWatch(dependencies: WatchDependencies): WatchActivities {
  return {
    watchStage: answering(async (input: WatchStageInput, heartbeat) => {
      const { plan, stage, expected, commit } = input;
      const { watch, change } = stage;
      if (watch === undefined)
        throw new Error(`stage ${stage.name} of ${plan.service} has no watch, so it should not be asked for`);
      const deployment =
        watch.deployment && expected && createDeploymentProof(dependencies.clientFor, watch.deployment, { ...expected, commit });
      const isOurs =
        change && commit !== undefined ? createCommitCheck(dependencies.forgeFor, change.repository, commit) : undefined;
      return await orCancelled('the watch', (signal) =>
        watchUntilVerdict(dependencies, { ...input, watch, deployment, isOurs, signal }, heartbeat),
      );
    }),
  };
}

interface WatchContext extends WatchStageInput {
  readonly watch: WatchPlan;
  readonly deployment: DeploymentProof | undefined;
  readonly isOurs: CommitCheck | undefined;
  readonly signal: AbortSignal;
}

async function watchUntilVerdict(dependencies: WatchDependencies, context: WatchContext, heartbeat: Heartbeat): Promise<Watched> {
  const { watch, signal } = context;
  const left = readProgress(heartbeat.previous);
  let progress: WatchProgress = left
    ? { ...left, watch: resumeWatch(left.watch) }
    : { watch: beginWatch(watch), isDeployed: false };
  let since = performance.now();
  for (;;) {
    const begun = performance.now();
    const { result, isDeployed } = await readOnce(dependencies, context, progress);
    const { kind, reading, restarts } = result;
    const state = observe(watch, progress.watch, { kind, reading, afterMs: performance.now() - since });
    since = performance.now();
    progress = { watch: state, restarts, isDeployed };
    heartbeat.record(progress);
    const verdict = watchVerdict(watch, state);
    if (verdict?.kind === 'healthy') {
      const { readings, failed, slowestMs, firstGoodMs = 0, recent } = state;
      const healthyAfterMs = Math.round(firstGoodMs);
      return {
        kind: 'watched',
        readings,
        failed,
        slowestMs,
        healthyAfterMs,
        proof: proofOf(context, result, isDeployed),
        last: reading,
        ...(recent !== undefined && { recent }),
      };
    }
    if (verdict?.kind === 'unhealthy') {
      const log = await result.readLog?.();
      const details: Unhealthy = { ...unhealthyDetails(state), ...(log && { log }) };
      throw new Refusal('Unhealthy', unhealthyText(watch, state, verdict.because), [details]);
    }
    const pauseMs = Math.min(begun + watch.intervalMs - since, watch.withinMs - state.watchedMs);
    await delay(Math.max(pauseMs, shortestPauseMs), undefined, { signal });
  }
}

async function readOnce(
  { probes }: WatchDependencies,
  { stage, image, running, expected, watch, deployment, isOurs, signal }: WatchContext,
  { restarts, isDeployed }: WatchProgress,
): Promise<{ readonly result: ProbeResult; readonly isDeployed: boolean }> {
  const answer = isDeployed ? undefined : await deployment?.ask(signal);
  // A deployment may pin the manifest of its platform instead of the index: it is the same image.
  const others = expected?.digest === image.digest ? image.platforms.map(({ digest }) => digest) : [];
  const result = await probes.probe({
    watch,
    deploy: stage.deploy,
    running,
    expected: expected && { ...expected, digests: [expected.digest, ...others], repository: image.repository },
    isOurs,
    restarts,
    also: answer ? [answer] : [],
    signal,
  });
  return { result, isDeployed: isDeployed || answer?.kind === 'good' };
}

/** Container over probe over deployment: whichever of them there are, all have to agree. */
function proofOf({ expected, stage }: WatchContext, result: ProbeResult, isDeployed: boolean): Watched['proof'] {
  if (expected === undefined) return 'none';
  if (result.proof !== 'none') return result.proof;
  // Such a deploy has waited for its success.
  return isDeployed || stage.deploy?.proves ? 'deployment' : 'none';
}

/** What an earlier attempt noted; undefined if there is none, or it was cut off before it had anything to note. */
function readProgress(before: unknown): WatchProgress | undefined {
  const isProgress = typeof before === 'object' && before !== null && 'watch' in before && 'isDeployed' in before;
  return isProgress ? (before as WatchProgress) : undefined;
}
