import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Octokit } from 'octokit';
import type { WatchActivities, WatchStageInput } from '../contracts/activities/delivery.ts';
import { Refusal } from '../domain/failures.ts';
import type { Digest } from '../domain/image-reference.ts';
import type { Reading, Unhealthy, VerifiedImage, Watched } from '../domain/outcomes.ts';
import type { WatchPlan } from '../domain/plan.ts';
import {
  beginWatch,
  observe,
  resumeWatch,
  unhealthyDetails,
  unhealthyText,
  type WatchState,
  watchVerdict,
} from '../domain/watch.ts';
import type { Restarts } from '../domain/watch-restarts.ts';
import type { ExpectedImage } from '../domain/watch-version.ts';
import { createDeploymentProof, type DeploymentProof } from '../probes/deployment.ts';
import type { ProbeResult, Probes } from '../probes/index.ts';
import { readContainerLog } from '../probes/log.ts';
import { answering, type Heartbeat, orCancelled } from './boundary.ts';

export interface WatchDependencies {
  readonly docker: Docker;
  readonly probes: Probes;
  /** A client for `owner/name` whose errors are classified. @throws Refusal if GitHub is not configured */
  readonly clientFor: (repository: string) => Promise<Octokit>;
}

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
      const { plan, stage, expected } = input;
      const { watch } = stage;
      if (watch === undefined)
        throw new Error(`stage ${stage.name} of ${plan.service} has no watch, so it should not be asked for`);
      const deployment =
        watch.deployment !== undefined && expected !== undefined
          ? createDeploymentProof(dependencies.clientFor, watch.deployment, expected)
          : undefined;
      return await orCancelled('the watch', (signal) =>
        watchUntilVerdict(dependencies, { ...input, watch, deployment, signal }, heartbeat),
      );
    }),
  };
}

interface WatchContext extends WatchStageInput {
  readonly watch: WatchPlan;
  readonly deployment: DeploymentProof | undefined;
  readonly signal: AbortSignal;
}

async function watchUntilVerdict(dependencies: WatchDependencies, context: WatchContext, heartbeat: Heartbeat): Promise<Watched> {
  const { watch, signal } = context;
  const left = readProgress(heartbeat.previous);
  let progress: WatchProgress =
    left === undefined ? { watch: beginWatch(watch), isDeployed: false } : { ...left, watch: resumeWatch(left.watch) };
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
    if (verdict?.kind === 'healthy') return watched(state, reading, proofOf(context, result, isDeployed));
    if (verdict?.kind === 'unhealthy') throw await unhealthy(dependencies, watch, state, verdict.because, result);
    const pauseMs = Math.min(begun + watch.intervalMs - since, watch.withinMs - state.watchedMs);
    await delay(Math.max(pauseMs, shortestPauseMs), undefined, { signal });
  }
}

async function readOnce(
  { probes }: WatchDependencies,
  { stage, image, running, expected, watch, deployment, signal }: WatchContext,
  { restarts, isDeployed }: WatchProgress,
): Promise<{ readonly result: ProbeResult; readonly isDeployed: boolean }> {
  const answer = deployment === undefined || isDeployed ? undefined : await deployment.ask(signal);
  const result = await probes.probe({
    watch,
    deploy: stage.deploy,
    running,
    ...(expected !== undefined && { expected: { ...expected, digests: digestsOf(image, expected) } }),
    restarts,
    ...(answer !== undefined && { also: [answer] }),
    signal,
  });
  return { result, isDeployed: isDeployed || answer?.kind === 'good' };
}

/** A deployment may pin the manifest of its platform instead of the index: it is the same image. */
function digestsOf(image: VerifiedImage, { digest }: ExpectedImage): Digest[] {
  return digest === image.digest ? [digest, ...image.platforms.map((each) => each.digest)] : [digest];
}

/** Container over probe over deployment: whichever of them there are, all have to agree. */
function proofOf({ expected, stage }: WatchContext, result: ProbeResult, isDeployed: boolean): Watched['proof'] {
  if (expected === undefined) return 'none';
  if (result.proof !== 'none') return result.proof;
  // Such a deploy has waited for its success.
  return isDeployed || stage.deploy?.proves ? 'deployment' : 'none';
}

function watched({ readings, failed, slowestMs, firstGoodMs = 0 }: WatchState, last: Reading, proof: Watched['proof']): Watched {
  return { kind: 'watched', readings, failed, slowestMs, healthyAfterMs: Math.round(firstGoodMs), proof, last };
}

async function unhealthy(
  { docker }: WatchDependencies,
  watch: WatchPlan,
  state: WatchState,
  because: 'failing' | 'refused' | 'undecided',
  { containers }: ProbeResult,
): Promise<Refusal> {
  const [sick] = containers;
  const log = sick === undefined ? undefined : await readContainerLog(docker, sick);
  const details: Unhealthy = { ...unhealthyDetails(state), ...(log && { log }) };
  return new Refusal('Unhealthy', unhealthyText(watch, state, because), [details]);
}

/** What an earlier attempt noted; undefined if there is none, or it was cut off before it had anything to note. */
function readProgress(before: unknown): WatchProgress | undefined {
  const isProgress = typeof before === 'object' && before !== null && 'watch' in before && 'isDeployed' in before;
  return isProgress ? (before as WatchProgress) : undefined;
}
