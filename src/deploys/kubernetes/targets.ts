import { formatReference, type ImageReference } from '../../domain/image-reference.ts';
import type { RunningImage } from '../../domain/outcomes.ts';
import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import { containersOf, type Pod } from '../../platform/kubernetes/objects.ts';
import { isReady, runningDigest, statusesOf } from '../../platform/kubernetes/pods.ts';
import {
  isOfTemplate,
  listWorkloads,
  nameOf,
  podsOf,
  readWorkload,
  referenceOf,
  type Workload,
  type WorkloadChoice,
  workloadKinds,
} from '../../platform/kubernetes/workloads.ts';
import type { Target } from '../deploy.ts';
import { refused } from '../kit/refusals.ts';
import { previousOf } from './write.ts';

export interface KubernetesDeployPlan {
  /** Of the worker's kubeconfig; absent: the current one, or the service account. */
  readonly context?: string;
  /** `*`: all. Absent: that of the context, else `default`. */
  readonly namespace?: string;
  readonly workloads: WorkloadChoice;
  /** Absent: those that are made from the image's repository. */
  readonly container?: string;
  readonly pin: 'tag@digest' | 'tag' | 'digest';
  /** Field managers whose image is taken over. */
  readonly takeFrom: readonly string[];
  /** How many of a container are borne while it comes up. */
  readonly restarts: number;
  /** One pod goes first. */
  readonly canary?: true;
  readonly timeoutMs: number;
}

/** The names of the two parts of a deploy that lets one pod go first. */
export const canaryParts = { first: 'canary', rest: 'rest' } as const;

export type KubernetesTarget = Target<KubernetesDeployPlan>;

/** A workload, and which of its containers are meant. */
export interface WorkloadTarget {
  readonly workload: Workload;
  /** For people, and for what the rollout remembers: `deployment/web`. */
  readonly name: string;
  readonly containers: readonly string[];
}

/**
 * What a deploy is about, by name.
 * @throws Refusal `DeployRefused` where something that is named is not there; where nothing is searched for that is there, there is nothing
 */
export async function findTargets(
  client: KubernetesClient,
  target: KubernetesTarget,
  signal: AbortSignal,
): Promise<WorkloadTarget[]> {
  const { deploy } = target;
  const { namespace = client.namespace } = deploy;
  const inAll = namespace === '*';
  const workloads = await chosen(client, deploy.workloads, namespace, signal);
  return workloads.flatMap((workload) => {
    const containers = meantContainers(workload, target);
    const name = nameOf(workload, inAll);
    if (containers.length > 0) return [{ workload, name, containers }];
    // Of what is searched for, only what uses the image is meant.
    if ('image' in deploy.workloads || ('label' in deploy.workloads && deploy.container === undefined)) return [];
    throw noContainer(client, workload, target);
  });
}

async function chosen(
  client: KubernetesClient,
  choice: WorkloadChoice,
  namespace: string,
  signal: AbortSignal,
): Promise<Workload[]> {
  if ('image' in choice) return await listWorkloads(client, namespace, workloadKinds, undefined, signal);
  if ('label' in choice) {
    const found = await listWorkloads(client, namespace, workloadKinds, choice.label, signal);
    if (found.length > 0) return found;
    throw refused(
      `expected workloads with the label ${choice.label} in ${whereIs(client, namespace)}, found none: correct deploy.kubernetes, or create them`,
    );
  }
  return await Promise.all(
    choice.names.map(async ({ kind, name }) => {
      const workload = await readWorkload(client, { kind, name, namespace }, signal);
      if (workload !== undefined) return workload;
      throw refused(
        `expected ${kind.toLowerCase()}/${name} in ${whereIs(client, namespace)}, found none: correct deploy.kubernetes, or create it first`,
      );
    }),
  );
}

function whereIs({ context }: KubernetesClient, namespace: string): string {
  return namespace === '*' ? `all namespaces of ${context.name}` : `the namespace ${namespace} of ${context.name}`;
}

/** By name; which of them use the image, and with `image: tag` this very tag of it. */
function meantContainers(workload: Workload, { deploy, image }: KubernetesTarget): string[] {
  const { template } = workload;
  const all = containersOf(template);
  if (deploy.container !== undefined) return all.flatMap(({ name }) => (name === deploy.container ? [name] : []));
  const isTag = 'image' in deploy.workloads && deploy.workloads.image === 'tag';
  return all.flatMap((container) => {
    const reference = referenceOf(container);
    if (reference?.repository !== image.repository) return [];
    if (!isTag) return [container.name];
    // A digest beside the tag is somebody's own pin, unless we put it there when we went back.
    const isOurs = reference.digest === undefined || previousOf(workload)?.pinned.includes(container.name) === true;
    return reference.tag === image.tag && isOurs ? [container.name] : [];
  });
}

function noContainer(client: KubernetesClient, workload: Workload, { deploy, image }: KubernetesTarget) {
  const found = containersOf(workload.template).map(({ name, image: made = 'no image' }) => `${name} (${made})`);
  const expected =
    deploy.container === undefined ? `a container that is made from ${image.repository}` : `a container ${deploy.container}`;
  return refused(
    `expected ${nameOf(workload)} in ${whereIs(client, workload.namespace)} to have ${expected}, found ${found.join(', ') || 'none'}: ` +
      'name the one that is meant by deploy.kubernetes.container',
  );
}

/** The reference that a container is to have. */
export function wantedReference({ deploy, image }: KubernetesTarget): string {
  const { repository, tag, digest } = image;
  const parts: Record<KubernetesDeployPlan['pin'], ImageReference> = {
    'tag@digest': { repository, tag, digest },
    digest: { repository, digest },
    tag: { repository, tag },
  };
  return formatReference(parts[deploy.pin]);
}

/** What each container of the targets has, and by its pods runs. */
export async function runningImages(
  client: KubernetesClient,
  targets: readonly WorkloadTarget[],
  signal: AbortSignal,
): Promise<RunningImage[]> {
  const pods = await podsOf(client, workloadsOf(targets), signal);
  return targets.flatMap((target) => imagesOf(target, pods.get(target.workload) ?? []));
}

export function workloadsOf(targets: readonly WorkloadTarget[]): Workload[] {
  return targets.map(({ workload }) => workload);
}

/** `app` of `deployment/web/app`. */
export function containerIn({ name }: RunningImage): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

export function imagesOf({ workload, name, containers }: WorkloadTarget, pods: readonly Pod[]): RunningImage[] {
  return containersOf(workload.template).flatMap((container) => {
    if (!containers.includes(container.name)) return [];
    const { image: reference = '' } = container;
    const ready = pods.filter(isReady);
    const ours = ready.find((pod) => isOfTemplate(pod, workload.template)) ?? ready[0];
    const status = ours && statusesOf(ours).find((each) => each.name === container.name);
    const digest = (status && runningDigest(status)) ?? referenceOf(container)?.digest;
    return [{ name: `${name}/${container.name}`, reference, ...(digest !== undefined && { digest }) }];
  });
}
