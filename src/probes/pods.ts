import type { PodsQuery } from '../deploys/deploy.ts';
import { messageOf } from '../domain/errors.ts';
import { Refusal } from '../domain/failures.ts';
import type { Digest } from '../domain/image-reference.ts';
import type { RunningImage } from '../domain/outcomes.ts';
import { countRestarts, type Restarts } from '../domain/watch.ts';
import type { KubernetesClient, KubernetesClients } from '../platform/kubernetes/client.ts';
import { containersOf, type Pod, pods as podResource } from '../platform/kubernetes/objects.ts';
import { isReady, problemOf, readPodLog, runningDigest, statusesOf } from '../platform/kubernetes/pods.ts';
import { isOfTemplate, podsOf, readWorkload, referenceOf, workloadKinds } from '../platform/kubernetes/workloads.ts';
import type { ProbeAnswer } from './answer.ts';

interface PodsRequest {
  readonly where: PodsQuery;
  /** At least one. */
  readonly running: readonly RunningImage[];
  /** Of the image that is expected; absent: nothing has to be proven. */
  readonly digests: readonly Digest[] | undefined;
  /** How many restarts since the deploy are borne; absent: nobody asked how the pods are, only what they run. */
  readonly allowedRestarts: number | undefined;
  readonly restarts: Restarts | undefined;
  readonly signal: AbortSignal;
}

export interface PodAnswers {
  readonly answers: readonly ProbeAnswer[];
  readonly restarts: Restarts | undefined;
  readonly isProof: boolean;
  /** The end of the log of a pod that is not well. */
  readonly readLog?: () => Promise<string | undefined>;
}

/** What pods of a deploy to Kubernetes are called: see `imagesOf` of its targets. */
interface NamedContainer {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly container: string;
}

/**
 * The pods that a deploy to Kubernetes has brought: ready, and not restarted; and the proof, by what each of them says that it runs. A cluster
 * that does not answer says nothing against them. @throws Refusal where it may not be asked, and the signal's reason
 */
export async function askPods(clients: KubernetesClients, request: PodsRequest): Promise<PodAnswers> {
  const { where, running, digests, allowedRestarts, restarts, signal } = request;
  try {
    const client = await clients(where.context);
    const named = running.map(({ name }) => parseName(name, where.namespace ?? client.namespace));
    const found = await Promise.all(groupsOf(named).map((group) => findPods(client, group, signal)));
    const all = found.flatMap(({ pods }) => pods);
    const counted = countRestarts(restarts, all.flatMap(containersToCount));
    const answers = found.flatMap(({ what, containers, pods, isEmpty }) => [
      ...(pods.length === 0 && allowedRestarts !== undefined ? [withoutPods(what, isEmpty)] : []),
      ...pods.flatMap((pod) => [
        ...(allowedRestarts === undefined ? [] : [judge(pod, counted, allowedRestarts)]),
        ...(digests === undefined ? [] : prove(pod, containers, digests)),
      ]),
    ]);
    const sick = all.find((pod) => !isReady(pod));
    return {
      answers,
      restarts: counted,
      isProof: digests !== undefined && all.length > 0,
      ...(sick && { readLog: () => logOf(client, sick, signal) }),
    };
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof Refusal) throw error;
    return { answers: [{ kind: 'away', text: messageOf(error) }], restarts, isProof: digests !== undefined };
  }
}

function parseName(name: string, usual: string): NamedContainer {
  const parts = name.split('/');
  const [container = '', workload = '', kind = '', namespace = usual] = parts.reverse();
  return { namespace, kind, name: workload, container };
}

function groupsOf(named: readonly NamedContainer[]): (readonly NamedContainer[])[] {
  return [...Map.groupBy(named, ({ namespace, kind, name }) => `${namespace} ${kind} ${name}`).values()];
}

interface FoundPods {
  /** For people. */
  readonly what: string;
  readonly containers: readonly string[];
  readonly pods: readonly Pod[];
  /** It is meant to have none now: scaled to nothing, or between two runs. */
  readonly isEmpty?: boolean;
}

function withoutPods(what: string, isEmpty = false): ProbeAnswer {
  if (isEmpty) return { kind: 'good', text: `kubernetes ${what} is to have no pods now` };
  return { kind: 'bad', text: `kubernetes ${what} has no pods` };
}

async function findPods(client: KubernetesClient, group: readonly NamedContainer[], signal: AbortSignal): Promise<FoundPods> {
  const [first] = group;
  if (first === undefined) return { what: '', containers: [], pods: [] };
  const { namespace, name } = first;
  const containers = group.map(({ container }) => container);
  const what = `${first.kind}/${name}`;
  if (first.kind === 'pod') {
    const pod = await client.get<Pod>({ resource: podResource, namespace, name }, signal);
    return { what, containers, pods: pod === undefined ? [] : [pod] };
  }
  const kind = workloadKinds.find((each) => each.toLowerCase() === first.kind);
  const workload = kind && (await readWorkload(client, { kind, namespace, name }, signal));
  if (workload === undefined) return { what, containers, pods: [] };
  const all = (await podsOf(client, [workload], signal)).get(workload) ?? [];
  const isEmpty = kind === 'CronJob' || workload.object.spec.replicas === 0;
  return { what, containers, isEmpty, pods: all.filter((pod) => isOfTemplate(pod, workload.template)) };
}

export function containersToCount(pod: Pod) {
  return statusesOf(pod).map(({ name, restartCount }) => ({ id: `${pod.metadata.uid}/${name}`, restartCount }));
}

export function judge(pod: Pod, restarts: Restarts, allowed: number): ProbeAnswer {
  const name = `kubernetes pod ${pod.metadata.name}`;
  const restarted = containersToCount(pod).find(({ id }) => (restarts[id]?.since ?? 0) > allowed);
  if (restarted !== undefined) {
    const since = restarts[restarted.id]?.since;
    const ended = statusesOf(pod).find(({ lastState }) => lastState?.terminated !== undefined)?.lastState?.terminated;
    const how = ended === undefined ? '' : ` (${ended.reason === 'OOMKilled' ? 'out of memory' : `exit code ${ended.exitCode}`})`;
    return { kind: 'bad', text: `${name} was restarted ${since} times, borne are ${allowed}${how}` };
  }
  if (isReady(pod)) return { kind: 'good', text: `${name} is ready` };
  return { kind: 'bad', text: problemOf(pod, allowed)?.text ?? `${name} is not ready` };
}

export function prove(pod: Pod, containers: readonly string[], digests: readonly Digest[]): ProbeAnswer[] {
  const [wanted = ''] = digests;
  return statusesOf(pod).flatMap((status): ProbeAnswer[] => {
    if (!containers.includes(status.name)) return [];
    const found = runningDigest(status);
    const name = `kubernetes pod ${pod.metadata.name}`;
    if (found === undefined) return [{ kind: 'none', text: `${name} does not run ${status.name} yet` }];
    if (digests.includes(found) || isPinned(pod, status.name, digests))
      return [{ kind: 'good', text: `${name} runs ${wanted.slice(0, 19)}` }];
    return [{ kind: 'bad', text: `${name} runs ${found.slice(0, 19)}, expected ${wanted.slice(0, 19)}` }];
  });
}

/** A node that has the image by the index of an earlier build, too, names any of them; but it runs what the pod pins. */
function isPinned({ spec }: Pod, container: string, digests: readonly Digest[]): boolean {
  const pinned = containersOf({ spec }).find(({ name }) => name === container);
  const digest = pinned && referenceOf(pinned)?.digest;
  return digest !== undefined && digests.includes(digest);
}

export async function logOf(client: KubernetesClient, pod: Pod, signal: AbortSignal): Promise<string | undefined> {
  const container = statusesOf(pod).find(({ ready }) => !ready);
  return container && (await readPodLog(client, pod, container, signal));
}
