import type { Digest, Repository } from '../../domain/image-reference.ts';
import { countRestarts, type Restarts } from '../../domain/watch.ts';
import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import { containersOf, type Pod } from '../../platform/kubernetes/objects.ts';
import { isReady, problemOf, runningDigest, statusesOf } from '../../platform/kubernetes/pods.ts';
import { progressOf } from '../../platform/kubernetes/progress.ts';
import { isOfTemplate, nameOf, podsOf, referenceOf, type Workload } from '../../platform/kubernetes/workloads.ts';
import type { ProbeAnswer } from '../answer.ts';
import { containersToCount, judge, logOf, type PodAnswers, prove } from '../pods.ts';

export interface WorkloadsRequest {
  readonly digests: readonly Digest[];
  /** Containers that are made from it are ours. */
  readonly repository: Repository;
  /** How many restarts of a container are borne. */
  readonly allowedRestarts: number;
  readonly restarts: Restarts | undefined;
  readonly signal: AbortSignal;
}

/** One that uses our image, with its pods of its newest template. */
interface OwnWorkload {
  readonly workload: Workload;
  readonly containers: readonly string[];
  readonly pods: readonly Pod[];
}

export interface FoundWorkloads {
  /** None of them uses the image. */
  readonly isEmpty: boolean;
  /** One of them has the expected digest, in its template or its pods. */
  readonly haveDigest: boolean;
  /** @param isApplied all that was to be applied is: then whatever else runs is wrong, and before that it only is not replaced yet */
  judge(isApplied: boolean): PodAnswers;
}

/** Those of what a controller has applied that use the image, and their pods. */
export async function findOurs(
  client: KubernetesClient,
  applied: readonly Workload[],
  request: WorkloadsRequest,
): Promise<FoundWorkloads> {
  const { repository, digests, signal } = request;
  const named = applied.flatMap((workload) => {
    const made = containersOf(workload.template).filter((container) => referenceOf(container)?.repository === repository);
    return made.length === 0 ? [] : [{ workload, containers: made.map(({ name }) => name) }];
  });
  const pods = await podsOf(
    client,
    named.map(({ workload }) => workload),
    signal,
  );
  const ours = named.map(({ workload, containers }): OwnWorkload => {
    const all = pods.get(workload) ?? [];
    return { workload, containers, pods: all.filter((pod) => isOfTemplate(pod, workload.template)) };
  });
  return {
    isEmpty: ours.length === 0,
    haveDigest: ours.some((each) => digestsOf(each).some((digest) => digests.includes(digest))),
    judge: (isApplied) => judgeAll(client, ours, isApplied, request),
  };
}

function digestsOf({ workload, containers, pods }: OwnWorkload): Digest[] {
  const pinned = containersOf(workload.template).filter(({ name }) => containers.includes(name));
  const running = pods.flatMap(statusesOf).filter(({ name }) => containers.includes(name));
  return [...pinned.map((container) => referenceOf(container)?.digest), ...running.map(runningDigest)].filter(
    (digest) => digest !== undefined,
  );
}

function judgeAll(
  client: KubernetesClient,
  ours: readonly OwnWorkload[],
  isApplied: boolean,
  { digests, allowedRestarts, restarts, signal }: WorkloadsRequest,
): PodAnswers {
  const pods = ours.flatMap((each) => each.pods);
  const counted = countRestarts(restarts, pods.flatMap(containersToCount));
  const answers = ours.flatMap((each) => [
    ...progress(each),
    ...each.pods.map((pod) => judgeComing(pod, counted, allowedRestarts)),
    ...proofs(each, digests).map((answer) => (isApplied ? answer : notYet(answer))),
  ]);
  const sick = pods.find((pod) => !isReady(pod));
  const readLog = sick && { readLog: () => logOf(client, sick, signal) };
  return { answers, restarts: counted, isProof: ours.length > 0, ...readLog };
}

function progress({ workload }: OwnWorkload): ProbeAnswer[] {
  const { isDone, text } = progressOf(workload);
  return isDone ? [] : [{ kind: 'none', text: `kubernetes ${nameOf(workload, true)}: ${text}` }];
}

/** One that is only about to come up, or whose node may be, is not unwell: nobody here knows since when it could. */
function judgeComing(pod: Pod, restarts: Restarts, allowed: number): ProbeAnswer {
  const answer = judge(pod, restarts, allowed);
  const problem = problemOf(pod, allowed);
  const mayCome = problem === undefined || problem.reason === 'Unschedulable';
  return mayCome && !isReady(pod) ? notYet(answer) : answer;
}

function notYet(answer: ProbeAnswer): ProbeAnswer {
  return answer.kind === 'bad' ? { ...answer, kind: 'none' } : answer;
}

/** Without pods (a CronJob, no replicas) it is what the template says. */
function proofs(ours: OwnWorkload, digests: readonly Digest[]): ProbeAnswer[] {
  if (ours.pods.length > 0) return ours.pods.flatMap((pod) => prove(pod, ours.containers, digests));
  const isIt = digestsOf(ours).some((digest) => digests.includes(digest));
  const name = `kubernetes ${nameOf(ours.workload, true)}`;
  return [
    isIt
      ? { kind: 'good', text: `${name} is set to the digest` }
      : { kind: 'none', text: `${name} has no pods that show a digest` },
  ];
}
