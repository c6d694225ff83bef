import { type ImageReference, tryParseReference } from '../../domain/image-reference.ts';
import type { KubernetesClient } from './client.ts';
import { Forbidden } from './errors.ts';
import {
  containersOf,
  formatSelector,
  type Pod,
  type PodContainer,
  type PodTemplate,
  pods,
  type Resource,
  type WorkloadObject,
} from './objects.ts';

/** What makes pods from a template. */
export const workloadKinds = ['Deployment', 'StatefulSet', 'DaemonSet', 'CronJob'] as const;
export type WorkloadKind = (typeof workloadKinds)[number];

export const workloadResources: Readonly<Record<WorkloadKind, Resource>> = {
  Deployment: { apiVersion: 'apps/v1', plural: 'deployments' },
  StatefulSet: { apiVersion: 'apps/v1', plural: 'statefulsets' },
  DaemonSet: { apiVersion: 'apps/v1', plural: 'daemonsets' },
  CronJob: { apiVersion: 'batch/v1', plural: 'cronjobs' },
};

/** As it is at the API server. */
export interface Workload {
  readonly kind: WorkloadKind;
  readonly namespace: string;
  readonly name: string;
  readonly object: WorkloadObject;
  readonly template: PodTemplate;
}

/** By kind and name; by a label of their own; or by what one of their containers was made from. */
export type WorkloadChoice =
  | { readonly names: readonly WorkloadName[] }
  | { readonly label: string }
  | { readonly image: 'repository' | 'tag' };

export interface WorkloadName {
  readonly kind: WorkloadKind;
  readonly name: string;
}

/** `deployment/web`, where it is not all in one namespace `shop/deployment/web`. */
export function nameOf({ kind, name, namespace }: Pick<Workload, 'kind' | 'name' | 'namespace'>, all = false): string {
  return `${all ? `${namespace}/` : ''}${kind.toLowerCase()}/${name}`;
}

export function workloadOf(kind: WorkloadKind, object: WorkloadObject): Workload {
  const template = object.spec.template ?? object.spec.jobTemplate?.spec.template;
  const { name, namespace = '' } = object.metadata;
  if (template === undefined) throw new Error(`expected ${kind} ${namespace}/${name} to have a template of pods, found none`);
  return { kind, namespace, name, object, template };
}

export async function readWorkload(
  client: KubernetesClient,
  { kind, namespace, name }: Pick<Workload, 'kind' | 'name' | 'namespace'>,
  signal: AbortSignal,
): Promise<Workload | undefined> {
  const object = await client.get<WorkloadObject>({ resource: workloadResources[kind], namespace, name }, signal);
  return object && workloadOf(kind, object);
}

/**
 * Those of a namespace, or of all. Of what is searched for by label or image, kinds that may not be listed are left out, unless nothing is found
 * then: what is looked for may be one of them. @throws Forbidden
 */
export async function listWorkloads(
  client: KubernetesClient,
  namespace: string,
  kinds: readonly WorkloadKind[],
  labelSelector: string | undefined,
  signal: AbortSignal,
): Promise<Workload[]> {
  const answers = await Promise.all(
    kinds.map(async (kind) => {
      const path = { resource: workloadResources[kind], namespace: namespace === '*' ? undefined : namespace };
      try {
        const objects = await client.list<WorkloadObject>(
          path,
          { ...(labelSelector !== undefined && { labelSelector }) },
          signal,
        );
        return objects.map((object) => workloadOf(kind, object));
      } catch (error) {
        if (error instanceof Forbidden) return error;
        throw error;
      }
    }),
  );
  const workloads = answers.flatMap((answer) => (answer instanceof Forbidden ? [] : answer));
  const refusal = answers.find((answer) => answer instanceof Forbidden);
  if (refusal !== undefined && workloads.length === 0) throw refusal;
  return workloads.sort((one, other) => (nameOf(one, true) < nameOf(other, true) ? -1 : 1));
}

export function isInit({ spec }: PodTemplate, name: string): boolean {
  return spec.initContainers?.some((container) => container.name === name) ?? false;
}

export function referenceOf({ image = '' }: PodContainer): ImageReference | undefined {
  return tryParseReference(image);
}

/** Set on templates: which rollout brought them. Pods carry what their template had when they were made. */
export const rolloutAnnotation = 'landfall.dev/rollout';
export const restartAnnotation = 'kubectl.kubernetes.io/restartedAt';
/** Set on the one pod that goes first, which no workload made. */
export const canaryLabel = 'landfall.dev/canary';

/** The pods that a workload has, whichever of its templates they are of, but without a canary, and without those that have ended or are to go. */
export async function podsOf(
  client: KubernetesClient,
  workloads: readonly Workload[],
  signal: AbortSignal,
): Promise<Map<Workload, Pod[]>> {
  const byWorkload = new Map<Workload, Pod[]>();
  const byNamespace = Map.groupBy(workloads, ({ namespace }) => namespace);
  const all = areMany(byNamespace.size) ? await client.list<Pod>({ resource: pods }, {}, signal) : undefined;
  const podsIn = all && Map.groupBy(all, ({ metadata }) => metadata.namespace ?? '');
  for (const [namespace, ours] of byNamespace) {
    const listed = podsIn === undefined ? await listPods(client, namespace, ours, signal) : (podsIn.get(namespace) ?? []);
    for (const workload of ours) {
      const { selector } = workload.object.spec;
      byWorkload.set(workload, selector === undefined ? [] : listed.filter((pod) => isLive(pod) && isSelected(pod, workload)));
    }
  }
  return byWorkload;
}

/** Of so many namespaces, all are asked for at once. Whoever found workloads in so many may list those of all. */
export function areMany(namespaces: number): boolean {
  return namespaces > 10;
}

/** One question for all of a namespace, once there are several. */
async function listPods(
  client: KubernetesClient,
  namespace: string,
  ours: readonly Workload[],
  signal: AbortSignal,
): Promise<Pod[]> {
  const [only, ...others] = ours;
  const labelSelector = others.length === 0 ? formatSelector(only?.object.spec.selector ?? {}) : '';
  return await client.list<Pod>({ resource: pods, namespace }, { ...(labelSelector && { labelSelector }) }, signal);
}

function isLive({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded' && metadata.labels?.[canaryLabel] === undefined
  );
}

function isSelected({ metadata: { labels = {} } }: Pod, { object }: Workload): boolean {
  const { matchLabels = {}, matchExpressions = [] } = object.spec.selector ?? {};
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const value = labels[key];
      if (operator === 'Exists') return value !== undefined;
      if (operator === 'DoesNotExist') return value === undefined;
      const isOne = value !== undefined && values.includes(value);
      return operator === 'In' ? isOne : !isOne;
    })
  );
}

/** Whether a pod was made from this very template, and not from one before it. */
export function isOfTemplate({ metadata, spec }: Pod, template: PodTemplate): boolean {
  const own = metadata.annotations ?? {};
  const wanted = template.metadata?.annotations ?? {};
  if ([rolloutAnnotation, restartAnnotation].some((key) => own[key] !== wanted[key])) return false;
  const images = new Map(containersOf({ spec }).map(({ name, image }) => [name, image]));
  return containersOf(template).every(({ name, image }) => images.get(name) === image);
}
