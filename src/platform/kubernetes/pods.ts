import { type Digest, isDigest } from '../../domain/image-reference.ts';
import { secretsIn } from '../docker/environment.ts';
import { createMask, lastLines, type TextMask } from '../docker/log-lines.ts';
import type { KubernetesClient } from './client.ts';
import { Forbidden } from './errors.ts';
import { type ContainerStatus, containersOf, events, type KubernetesEvent, type ObjectMeta, type Pod, pods } from './objects.ts';

/** How a pod is, and whether it can still come right. */
export interface PodProblem {
  readonly pod: Pod;
  /** The container that is to blame, if it is one. */
  readonly container?: string;
  /** As Kubernetes names it: `CrashLoopBackOff`, `OOMKilled`, `ErrImagePull`, `Unschedulable`. */
  readonly reason: string;
  /** For people. */
  readonly text: string;
  /** How long it is borne, in milliseconds, because it may pass: a node may come, a registry may answer again. */
  readonly borneMs: number;
  /** Who starts nothing else than what it has cannot mend this. */
  readonly isOfImage: boolean;
}

/** Reasons of a waiting container, how long each is borne, and whether the image may be to blame. */
const waitingReasons: Readonly<Record<string, { readonly borneMs: number; readonly isOfImage: boolean }>> = {
  InvalidImageName: { borneMs: 0, isOfImage: true },
  ErrImageNeverPull: { borneMs: 0, isOfImage: false },
  ErrImagePull: { borneMs: 15_000, isOfImage: false },
  ImagePullBackOff: { borneMs: 15_000, isOfImage: false },
  ErrImageInspect: { borneMs: 15_000, isOfImage: false },
  RegistryUnavailable: { borneMs: 30_000, isOfImage: false },
  SignatureValidationFailed: { borneMs: 0, isOfImage: true },
  // A ConfigMap or Secret that is created a moment later.
  CreateContainerConfigError: { borneMs: 15_000, isOfImage: false },
  CreateContainerError: { borneMs: 10_000, isOfImage: true },
  RunContainerError: { borneMs: 10_000, isOfImage: true },
  PreStartHookError: { borneMs: 10_000, isOfImage: true },
  PostStartHookError: { borneMs: 10_000, isOfImage: true },
};

const unschedulableMs = 20_000;

/** Since when something has been seen, each by its key. */
export class SeenTimes {
  readonly #first = new Map<string, number>();

  /** Milliseconds since it was seen first: 0 now. */
  lastedMs(key: string): number {
    const now = performance.now();
    const first = this.#first.get(key) ?? now;
    this.#first.set(key, first);
    return now - first;
  }

  /** Whether a problem has lasted longer than it is borne. What goes back and forth between two names is one problem. */
  isLasting({ pod, container, reason, borneMs }: PodProblem): boolean {
    const what = /Image/.test(reason) ? 'image' : reason;
    return this.lastedMs(`${pod.metadata.uid} ${container} ${what}`) >= borneMs;
  }
}

/** @param restarts how many of a container are borne */
export function problemOf(pod: Pod, restarts: number): PodProblem | undefined {
  const { status } = pod;
  const name = `pod ${pod.metadata.name}`;
  if (status?.phase === 'Failed') {
    const text = `${name} failed: ${status.reason ?? 'without a reason'}${status.message ? ` (${abridged(status.message)})` : ''}`;
    return { pod, reason: status.reason ?? 'Failed', text, borneMs: 10_000, isOfImage: false };
  }
  const scheduled = status?.conditions?.find(({ type }) => type === 'PodScheduled');
  if (scheduled?.status === 'False') {
    const reason = scheduled.reason ?? 'Unschedulable';
    const text = `${name} finds no node (${reason}): ${abridged(scheduled.message ?? '')}`;
    return { pod, reason, text, borneMs: unschedulableMs, isOfImage: false };
  }
  for (const container of statusesOf(pod)) {
    const problem = containerProblem(pod, container, restarts);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

export function statusesOf({ status }: Pod): readonly ContainerStatus[] {
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
}

function containerProblem(pod: Pod, found: ContainerStatus, restarts: number): PodProblem | undefined {
  const { name, restartCount, state, lastState } = found;
  const at = `container ${name} of pod ${pod.metadata.name}`;
  const ended = state?.terminated ?? lastState?.terminated;
  const isDown = state?.running === undefined;
  if (ended?.reason === 'OOMKilled' && (isDown || restartCount > 0)) {
    const text = `${at} was killed because it took more memory than its limit (OOMKilled)`;
    return { pod, container: name, reason: 'OOMKilled', text, borneMs: 0, isOfImage: true };
  }
  if (restartCount > restarts && isDown) {
    const how =
      ended === undefined
        ? ''
        : `, exit code ${ended.exitCode}${ended.reason && ended.reason !== 'Error' ? ` (${ended.reason})` : ''}`;
    const text = `${at} ended again and again: ${restartCount} restarts${how} (CrashLoopBackOff)`;
    return { pod, container: name, reason: 'CrashLoopBackOff', text, borneMs: 0, isOfImage: true };
  }
  const reason = state?.waiting?.reason;
  const known = reason === undefined ? undefined : waitingReasons[reason];
  if (reason === undefined || known === undefined) return undefined;
  const said = state?.waiting?.message;
  return {
    pod,
    container: name,
    reason,
    text: `${at} cannot start (${reason})${said ? `: ${abridged(said)}` : ''}`,
    ...known,
  };
}

/** Kubernetes and its runtimes put what really happened last, after everything that came of it. */
function abridged(text: string): string {
  const [begins, ends] = [100, 250];
  return text.length <= begins + ends + 3 ? text : `${text.slice(0, begins)} … ${text.slice(-ends)}`;
}

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false;
}

/** The digest that a container runs; undefined: it is not told yet. `sha256:` of a registry's manifest, or of an image's configuration. */
export function runningDigest({ imageID }: Pick<ContainerStatus, 'imageID'>): Digest | undefined {
  const digest = imageID.slice(imageID.lastIndexOf('@') + 1).replace(/^docker:\/\//, '');
  return isDigest(digest) ? digest : undefined;
}

const mostLogLines = 50;
const longestLog = 64 * 1024;
/** Of what is kept in pieces of at most 16 KiB. */
const mostOutputLines = 500;
const longestOutput = mostOutputLines * 16 * 1024;
const mostEvents = 3;

/** The last that a container said, of the one before if that has ended; and what Kubernetes noted about its pod. As far as one may know it. */
export async function explainProblem(
  client: KubernetesClient,
  { pod, container }: Pick<PodProblem, 'pod' | 'container'>,
  signal: AbortSignal,
): Promise<{ readonly log?: string; readonly events: readonly string[] }> {
  const noted = await readEvents(client, pod.metadata, signal);
  const found = statusesOf(pod).find(({ name }) => name === container);
  const log = found && (await readPodLog(client, pod, found, signal));
  return { events: noted, ...(log && { log }) };
}

/** What is noted about an object, newest last. @param reasons absent: all that are warnings */
export async function readEvents(
  client: KubernetesClient,
  { namespace, uid }: Pick<ObjectMeta, 'namespace' | 'uid'>,
  signal: AbortSignal,
  reasons?: readonly string[],
): Promise<string[]> {
  try {
    const fieldSelector = `involvedObject.uid=${uid}`;
    const listed = await client.list<KubernetesEvent>({ resource: events, namespace }, { fieldSelector }, signal);
    return (
      listed
        .filter(({ type, reason = '' }) => reasons?.includes(reason) ?? type === 'Warning')
        // `Error: ErrImagePull` says nothing that the container's state does not.
        .filter(({ message = '' }) => !/^Error: \w+$/.test(message))
        .sort((one, other) => timeOf(one) - timeOf(other))
        .slice(-mostEvents)
        .map(({ reason, message }) => `${reason}: ${abridged(message ?? '')}`)
    );
  } catch {
    // They only explain, and may be more than one may see.
    signal.throwIfAborted();
    return [];
  }
}

function timeOf({ lastTimestamp, eventTime, metadata }: KubernetesEvent): number {
  return Date.parse(lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '') || 0;
}

/**
 * The end of a container's log, masked; of the one before where that has ended. Undefined: it is only advice.
 * @param mask absent: of the secrets that stand in the pod
 */
export async function readPodLog(
  client: KubernetesClient,
  pod: Pod,
  container: Pick<ContainerStatus, 'name' | 'state' | 'restartCount'>,
  signal: AbortSignal,
  mask = maskOf(pod, container.name),
): Promise<string | undefined> {
  const { name, namespace } = pod.metadata;
  const query = { container: container.name, tailLines: String(mostLogLines), limitBytes: String(longestLog) };
  const isAgain = container.state?.terminated === undefined;
  try {
    const path = { resource: pods, namespace, name, sub: 'log' };
    const before = isAgain && container.restartCount > 0 ? { ...query, previous: 'true' } : query;
    const { status, text } = await client.text(path, before, signal);
    return status === 200 ? lastLines(Buffer.from(text), mask) : undefined;
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}

/** What a container that has ended printed, both streams in one, as far as it is kept: of much, the last lines. */
export async function readPodOutput(client: KubernetesClient, pod: Pod, container: string, signal: AbortSignal): Promise<string> {
  const { name, namespace } = pod.metadata;
  const query = { container, tailLines: String(mostOutputLines), limitBytes: String(longestOutput) };
  const { status, text } = await client.text({ resource: pods, namespace, name, sub: 'log' }, query, signal);
  if (status === 200) return text;
  const message = `expected the output of pod ${name}, but Kubernetes (${client.context.name}) answered ${status}`;
  if (status === 403)
    throw new Forbidden(`${message}: allow get of pods/log in ${namespace} by a Role and a RoleBinding, then retry`);
  throw new Error(message);
}

function maskOf({ spec }: Pod, container: string): TextMask {
  const found = containersOf({ spec }).find(({ name }) => name === container);
  return createMask(secretsIn((found?.env ?? []).map(({ name, value = '' }) => `${name}=${value}`)));
}
