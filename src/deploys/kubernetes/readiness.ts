import { setTimeout as pause } from 'node:timers/promises';
import { concurrently } from '../../domain/concurrently.ts';
import { messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import type { Digest } from '../../domain/image-reference.ts';
import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import { containersOf, type Pod, pods } from '../../platform/kubernetes/objects.ts';
import {
  explainProblem,
  isReady,
  type PodProblem,
  problemOf,
  readEvents,
  runningDigest,
  SeenTimes,
  statusesOf,
} from '../../platform/kubernetes/pods.ts';
import { progressOf } from '../../platform/kubernetes/progress.ts';
import {
  areMany,
  isOfTemplate,
  listWorkloads,
  podsOf,
  readWorkload,
  type Workload,
} from '../../platform/kubernetes/workloads.ts';
import type { DeployContext } from '../deploy.ts';
import { failed, refused } from '../kit/refusals.ts';

/** A workload that was changed, and by which digest each of its containers is to run; absent: nobody knows it. */
export interface ExpectedPods {
  readonly workload: Workload;
  readonly name: string;
  /** By container: what its template says. */
  readonly images: Readonly<Record<string, string>>;
  readonly digests: Readonly<Record<string, readonly Digest[] | undefined>>;
}

export interface PodWait extends Pick<DeployContext, 'log'> {
  readonly client: KubernetesClient;
  readonly restarts: number;
  /** How long pods have to stay ready before they count: 0 where somebody watches them afterwards. */
  readonly holdsMs: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Whether a digest that is none of these names the same image all the same. */
  readonly isSameImage: (found: Digest, wanted: readonly Digest[]) => Promise<boolean>;
}

/** What will not come right by waiting. `isOfImage`: the image is to blame, and not the cluster. */
export class FailedRunning extends Refusal {
  readonly isOfImage: boolean;

  constructor(message: string, isOfImage: boolean, details: readonly object[] = []) {
    super('DeployFailed', message, details);
    this.isOfImage = isOfImage;
  }
}

const firstLookMs = 500;
const longestLookMs = 3_000;
/** What is said of a workload that gets no pods is borne so long. */
const noPodsMs = 10_000;

/**
 * Until every pod of the new template is ready and runs the digest, and no other pod is left. The API server may be away meanwhile.
 * @returns how many pods were proven
 * @throws FailedRunning; Refusal `DeployFailed` at the time-out, `DeployRefused`; the signal's reason
 */
export async function waitUntilRunning(waiting: PodWait, expected: readonly ExpectedPods[]): Promise<number> {
  const until = Date.now() + waiting.timeoutMs;
  const seen = new SeenTimes();
  let left = [...expected];
  let proven = 0;
  for (let waitMs = firstLookMs; ; waitMs = Math.min(longestLookMs, waitMs * 1.3)) {
    const found = await lookAll(waiting, left);
    const holding = (found ?? []).filter(
      (state) => state.isDone && readyMs(keyOf(state.workload), state.pods, seen) >= waiting.holdsMs,
    );
    for (const { pods } of holding) proven += pods.length;
    left = left.filter((each) => holding.every(({ expected }) => expected !== each));
    if (left.length === 0) return proven;
    await removeStuckPods(waiting, found ?? []);
    for (const { pods, expected } of found ?? [])
      for (const pod of pods) await requireHope(waiting, seen, pod, `${expected.name} in ${expected.workload.namespace}`);
    await requirePods(waiting, found ?? [], seen);
    if (Date.now() >= until) throw await late(waiting, found);
    await pause(Math.min(waitMs, Math.max(1, until - Date.now())), undefined, { signal: waiting.signal });
  }
}

/** How long pods have been ready by now, in milliseconds, none of them restarted since. */
export function readyMs(what: string, pods: readonly Pod[], seen: SeenTimes): number {
  const restarts = pods.flatMap(statusesOf).reduce((sum, { restartCount }) => sum + restartCount, 0);
  return seen.lastedMs(`${what} ready, ${restarts} restarts`);
}

interface WorkloadState {
  readonly expected: ExpectedPods;
  readonly workload: Workload;
  /** Of the new template. */
  readonly pods: readonly Pod[];
  /** Of another one. */
  readonly others: readonly Pod[];
  readonly isDone: boolean;
  /** For people: `2 of 3 pods are ready`. */
  readonly text: string;
}

/** Undefined where the API server does not answer, which says nothing. */
async function lookAll(waiting: PodWait, left: readonly ExpectedPods[]): Promise<WorkloadState[] | undefined> {
  const { client, signal, log } = waiting;
  try {
    const workloads = await readAll(client, left, signal);
    const pods = await podsOf(client, [...workloads.values()], signal);
    const looks = left.map((expected) => {
      const workload = workloads.get(keyOf(expected.workload));
      if (workload === undefined) throw failed(`${expected.name} was deleted while its pods were waited for`);
      return lookAt(expected, workload, pods.get(workload) ?? []);
    });
    for (const { expected, pods } of looks) for (const pod of pods) await requireDigests(waiting, expected, pod);
    return looks;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refusal) throw error;
    log.warn(
      { cluster: client.context.name, reason: messageOf(error) },
      'Kubernetes does not say how the pods are: it is asked again',
    );
    return undefined;
  }
}

/** One question for all of a kind, once there are several. */
async function readAll(
  client: KubernetesClient,
  expected: readonly ExpectedPods[],
  signal: AbortSignal,
): Promise<Map<string, Workload>> {
  const isEverywhere = areMany(new Set(expected.map(({ workload: { namespace } }) => namespace)).size);
  const groups = Map.groupBy(expected, ({ workload: { kind, namespace } }) => `${isEverywhere ? '*' : namespace} ${kind}`);
  const found = await concurrently([...groups.values()], 4, async (ours) => {
    const [first] = ours;
    if (first === undefined) return [];
    const { kind, namespace } = first.workload;
    if (ours.length > 2) return await listWorkloads(client, isEverywhere ? '*' : namespace, [kind], undefined, signal);
    const read = await Promise.all(ours.map(({ workload }) => readWorkload(client, workload, signal)));
    return read.flatMap((each) => each ?? []);
  });
  return new Map(found.flat().map((workload) => [keyOf(workload), workload]));
}

function keyOf({ kind, namespace, name }: Workload): string {
  return `${kind} ${namespace} ${name}`;
}

function lookAt(expected: ExpectedPods, workload: Workload, all: readonly Pod[]): WorkloadState {
  requireUnchanged(expected, workload);
  const ours = all.filter((pod) => isOfTemplate(pod, workload.template));
  const others = all.filter((pod) => !ours.includes(pod));
  const { isDone, text } = progressOf(workload);
  const areReady = ours.every((pod) => isReady(pod) && isProven(expected, pod));
  return { expected, workload, pods: ours, others, isDone: isDone && areReady, text };
}

/**
 * A StatefulSet waits for ever for a pod that does not come up, also when it has a better template by now.
 * @see https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback
 */
async function removeStuckPods({ client, signal, restarts }: PodWait, looks: readonly WorkloadState[]): Promise<void> {
  const ofSets = looks.filter(({ workload }) => workload.kind === 'StatefulSet').flatMap(({ others }) => others);
  for (const pod of ofSets.filter((pod) => !isReady(pod) && problemOf(pod, restarts) !== undefined)) {
    const { namespace, name, uid } = pod.metadata;
    await client.remove({ resource: pods, namespace, name }, signal, uid);
  }
}

/** Who changes the image meanwhile means it: what comes up now is theirs. @throws Refusal `DeployRefused` */
function requireUnchanged({ name, images }: ExpectedPods, { namespace, template }: Workload): void {
  for (const { name: container, image = '' } of containersOf(template)) {
    const ours = images[container];
    if (ours === undefined || ours === image) continue;
    throw refused(
      `somebody set the image of container ${container} of ${name} in ${namespace} to ${image} while its pods were waited for, and it was left at that: ` +
        'find out who it was; retry brings ours again, abort leaves it',
    );
  }
}

/** A container that runs something else will never run what is wanted. @throws FailedRunning */
export async function requireDigests({ isSameImage }: PodWait, { digests, name }: ExpectedPods, pod: Pod): Promise<void> {
  for (const status of statusesOf(pod)) {
    const wanted = digests[status.name];
    const found = runningDigest(status);
    if (wanted === undefined || found === undefined) continue;
    if (wanted.includes(found) || (await isSameImage(found, wanted))) continue;
    const policy = containersOf(pod).find((each) => each.name === status.name)?.imagePullPolicy;
    const advice =
      policy === 'Always'
        ? 'the tag was moved meanwhile'
        : `its node had another image of that name already: set imagePullPolicy: Always, or leave pin at tag@digest`;
    throw new FailedRunning(
      `expected pod ${pod.metadata.name} of ${name} to run ${wanted[0]} in container ${status.name}, found ${found}: ${advice}`,
      false,
    );
  }
}

function isProven({ digests }: ExpectedPods, pod: Pod): boolean {
  return statusesOf(pod).every((status) => digests[status.name] === undefined || runningDigest(status) !== undefined);
}

/** Of a pod that will not come right by waiting. @param what whose pod it is, for people @throws FailedRunning */
export async function requireHope(waiting: PodWait, seen: SeenTimes, pod: Pod, what: string): Promise<void> {
  const problem = isReady(pod) ? undefined : problemOf(pod, waiting.restarts);
  if (problem === undefined || !seen.isLasting(problem) || (await mayCome(waiting, problem))) return;
  const { noted, log } = await explained(waiting, problem);
  const last = log?.split('\n').findLast((line) => line.trim() !== '');
  const said = last === undefined ? '' : `; its last line: ${last.trim().slice(0, 200)}`;
  const message = `${what} will not come up: ${problem.text}${said}${noted}`;
  throw new FailedRunning(message, problem.isOfImage, log === undefined ? [] : [{ log }]);
}

/** Where a node is on its way for the pod, it is waited for. */
async function mayCome({ client, signal }: PodWait, { pod, reason }: PodProblem): Promise<boolean> {
  if (reason !== 'Unschedulable') return false;
  const noted = await readEvents(client, pod.metadata, signal, ['TriggeredScaleUp', 'Nominated']);
  return noted.length > 0;
}

/** `noted`: what comes after a message, if there is anything. */
async function explained({ client, signal }: PodWait, sick: Pick<PodProblem, 'pod' | 'container'>) {
  const { events, log } = await explainProblem(client, sick, signal);
  return { noted: events.length === 0 ? '' : `; Kubernetes noted: ${events.join(' | ')}`, log };
}

/** A quota, a policy or a webhook that lets no pod be made: Kubernetes tries again for ever, and says so only at the workload. */
async function requirePods({ client, signal }: PodWait, looks: readonly WorkloadState[], seen: SeenTimes): Promise<void> {
  for (const { workload, expected, isDone, text } of looks) {
    const lastedMs = seen.lastedMs(`${keyOf(workload)} ${text}`);
    if (isDone || lastedMs < noPodsMs) continue;
    const condition = workload.object.status?.conditions?.find(
      ({ type, status }) => type === 'ReplicaFailure' && status === 'True',
    );
    // A Deployment has it from its ReplicaSet; of the others only an event tells.
    const [noted] =
      workload.kind === 'Deployment' ? [] : await readEvents(client, workload.object.metadata, signal, ['FailedCreate']);
    const why = condition?.message ?? noted;
    if (why !== undefined)
      throw new FailedRunning(`${expected.name} in ${workload.namespace} gets no new pods: ${why.slice(0, 500)}`, false);
  }
}

async function late(waiting: PodWait, looks: readonly WorkloadState[] | undefined): Promise<Refusal> {
  const seconds = waiting.timeoutMs / 1_000;
  const [first, ...others] = looks ?? [];
  if (first === undefined)
    return failed(`Kubernetes (${waiting.client.context.name}) did not say within ${seconds} s how the pods are`);
  const { pods, expected, text, workload } = first;
  const sick = pods.find((pod) => !isReady(pod));
  const container = sick && statusesOf(sick).find(({ ready }) => !ready)?.name;
  const { noted, log } = sick
    ? await explained(waiting, { pod: sick, ...(container && { container }) })
    : { noted: '', log: undefined };
  const more = others.length === 0 ? '' : `; and ${others.length} more`;
  return failed(
    `expected ${expected.name} in ${workload.namespace} to be ready within ${seconds} s, found that ${text}${noted}${more}`,
    log === undefined ? [] : [{ log }],
  );
}
