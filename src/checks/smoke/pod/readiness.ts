import { setTimeout as pause } from 'node:timers/promises';
import { type PullClient, pullError } from '../../../platform/docker/errors.ts';
import { judge, type ReadinessResult, type State } from '../../../platform/docker/readiness.ts';
import type { KubernetesClient } from '../../../platform/kubernetes/client.ts';
import { type ContainerStatus, type Pod, pods } from '../../../platform/kubernetes/objects.ts';
import { isReady, type PodProblem, problemOf, readEvents, SeenTimes } from '../../../platform/kubernetes/pods.ts';
import type { FailureContext } from '../smoke-failure.ts';
import { candidate, type PodPlan } from './pod.ts';
import { diskRefusal, podStartRefusal, userRefusal, wroteTooMuch } from './refusals.ts';

/** A pod that was made, and what is to become of it. */
export interface PodRun {
  readonly client: KubernetesClient;
  readonly namespace: string;
  readonly name: string;
  readonly reference: string;
  readonly smoke: PodPlan;
  readonly signal: AbortSignal;
  readonly now: () => Date;
  /** Says of a pod that runs whether it runs what is to be tested. */
  readonly requireProven: (status: ContainerStatus) => Promise<void>;
  /** Reads the log as it is now. */
  readonly explain: (pod: Pod) => Promise<FailureContext>;
}

export interface PodResult extends ReadinessResult {
  readonly pod: Pod;
}

const firstLookMs = 300;
const longestLookMs = 3_000;

/**
 * Reads the pod until there is a verdict on its container.
 * @throws CheckRefused, or another Refusal; RateLimit of the registry; an ordinary error where the cluster is to blame, and it is tried again
 */
export async function waitForPod(run: PodRun): Promise<PodResult> {
  const seen = new SeenTimes();
  let startedAt: number | undefined;
  for (let waitMs = firstLookMs; ; waitMs = Math.min(longestLookMs, waitMs * 1.2)) {
    const pod = await readPod(run);
    await requireKept(run, pod);
    const status = pod.status?.containerStatuses?.find(({ name }) => name === candidate);
    if (status?.state?.running || status?.state?.terminated) {
      startedAt ??= performance.now();
      const result = await resultOf(run, pod, status, Math.round(performance.now() - startedAt));
      if (result !== undefined) return result;
    } else {
      const problem = problemOf(pod, 0);
      if (problem !== undefined && (isAboutUser(problem) || seen.isLasting(problem))) throw await failureOf(run, problem);
    }
    await pause(waitMs, undefined, { signal: run.signal });
  }
}

/** Undefined: not decided yet. */
async function resultOf(run: PodRun, pod: Pod, status: ContainerStatus, afterMs: number): Promise<PodResult | undefined> {
  const { smoke } = run;
  await requireStarted(run, pod, status);
  await run.requireProven(status);
  const state = stateOf(status);
  const verdict = judge(state, {
    proven: isReady(pod),
    stayedUp: afterMs >= smoke.stayUpMs,
    timedOut: afterMs >= smoke.timeoutMs,
    isOneShot: smoke.expect !== undefined,
    probe: smoke.probe,
  });
  if (verdict === undefined) return undefined;
  const lastFound = verdict.kind === 'timed-out' ? await lastAnswer(run, pod) : undefined;
  return { pod, verdict, state, afterMs, ...(lastFound !== undefined && { lastFound }) };
}

async function readPod({ client, namespace, name, signal }: PodRun): Promise<Pod> {
  const pod = await client.get<Pod>({ resource: pods, namespace, name }, signal);
  if (pod !== undefined && pod.metadata.deletionTimestamp === undefined) return pod;
  throw new Error('somebody removed the pod while it was tested; it is tested again');
}

/** A pod that the cluster has ended says nothing of its image, unless it wrote more than it may. */
async function requireKept(run: PodRun, pod: Pod): Promise<void> {
  const { phase, reason, message = '' } = pod.status ?? {};
  if (phase !== 'Failed' || reason === undefined) return;
  if (reason === 'Evicted' && wroteTooMuch(message)) throw diskRefusal(message, await run.explain(pod));
  throw new Error(`Kubernetes ended the pod (${reason}${message && `: ${message}`}); it is tested again`);
}

/** In the words of Docker, by which both kinds of smoke test are judged and explained. */
function stateOf({ state }: ContainerStatus): State {
  const { exitCode = 0, reason, message = '', startedAt = '', finishedAt = '' } = state?.terminated ?? {};
  return {
    Running: state?.running !== undefined,
    ExitCode: exitCode,
    OOMKilled: reason === 'OOMKilled',
    Error: message,
    StartedAt: startedAt,
    FinishedAt: finishedAt,
  };
}

/** What never ran, because its command cannot be run, or the node could not run it. */
async function requireStarted(run: PodRun, pod: Pod, status: ContainerStatus): Promise<void> {
  const { reason = '', message = '' } = status.state?.terminated ?? {};
  if (['StartError', 'ContainerCannotRun'].includes(reason)) throw await startFailure(run, pod, message);
}

async function startFailure(run: PodRun, pod: Pod, why: string): Promise<Error> {
  return podStartRefusal(why, await run.explain(pod)) ?? new Error(`the pod could not be started (${why}); it is tried again`);
}

/** What the kubelet was answered last, as far as one may know it. */
async function lastAnswer({ client, smoke, signal }: PodRun, pod: Pod): Promise<string | undefined> {
  if (smoke.probe === undefined) return undefined;
  const noted = await readEvents(client, pod.metadata, signal, ['Unhealthy']);
  return noted.at(-1)?.replace(/^Unhealthy: (?:Readiness probe (?:failed|errored)[^:]*: )?/, '');
}

const byKubernetes: PullClient = {
  name: 'Kubernetes',
  advice: (registry) => `name a Secret with the credentials of ${registry} in smoke.kubernetes.imagePullSecrets`,
};

/** It stands in the pod and in the image, and will not pass. */
function isAboutUser({ reason, text }: PodProblem): boolean {
  return reason === 'CreateContainerConfigError' && /runAsNonRoot/.test(text);
}

/** What a pod that does not start means. */
async function failureOf(run: PodRun, problem: PodProblem): Promise<unknown> {
  const { reason, text, pod, isOfImage } = problem;
  if (isAboutUser(problem)) return userRefusal(text, await run.explain(pod));
  if (/ImagePull|Registry/.test(reason)) return pullError(run.reference, undefined, new Error(text), run.now(), byKubernetes);
  return isOfImage ? await startFailure(run, pod, text) : new Error(`${text}; it is tried again`);
}
