import { setTimeout as pause } from 'node:timers/promises';
import type { RunningImage } from '../../domain/outcomes.ts';
import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import { type Pod, type PodTemplate, pods } from '../../platform/kubernetes/objects.ts';
import { isReady, runningDigest, SeenTimes, statusesOf } from '../../platform/kubernetes/pods.ts';
import { canaryLabel, nameOf, rolloutAnnotation, type Workload, workloadResources } from '../../platform/kubernetes/workloads.ts';
import { failed } from '../kit/refusals.ts';
import { type ExpectedPods, type PodWait, readyMs, requireDigests, requireHope } from './readiness.ts';
import { fieldManager } from './write.ts';

/**
 * One pod of the new image, beside those of the Deployment and with their labels, so that it gets its share of what they are asked. It goes with
 * its Deployment, and is removed once the rest has the image, or what ran before is back.
 */
export async function startCanary(
  waiting: PodWait,
  expected: ExpectedPods,
  images: Readonly<Record<string, string>>,
  rollout: string,
): Promise<RunningImage[]> {
  const { client, signal } = waiting;
  const { workload } = expected;
  // Of several namespaces, each is named.
  const beside = expected.name.slice(0, -nameOf(workload).length);
  const path = { resource: pods, namespace: workload.namespace, name: canaryName(workload) };
  const there = await client.get<Pod>(path, signal);
  if (there !== undefined && there.metadata.annotations?.[rolloutAnnotation] !== rollout) {
    await client.remove(path, signal, there.metadata.uid);
    await untilGone(waiting, workload);
  }
  if (there?.metadata.annotations?.[rolloutAnnotation] !== rollout) {
    const { name: _, ...collection } = path;
    await client.create<Pod>(collection, canaryOf(workload, images, rollout), fieldManager, signal);
  }
  const pod = await untilReady(waiting, expected);
  return statusesOf(pod).flatMap((status) => {
    const reference = images[status.name];
    const digest = runningDigest(status);
    if (reference === undefined) return [];
    return [{ name: `${beside}pod/${pod.metadata.name}/${status.name}`, reference, ...(digest !== undefined && { digest }) }];
  });
}

function canaryName({ name }: Pick<Workload, 'name'>): string {
  return `${name.slice(0, 200)}-landfall-canary`;
}

export async function removeCanary(client: KubernetesClient, { namespace, name }: Workload, signal: AbortSignal): Promise<void> {
  const path = { resource: pods, namespace, name: canaryName({ name }) };
  const there = await client.get<Pod>(path, signal);
  if (there?.metadata.labels?.[canaryLabel] !== undefined) await client.remove(path, signal, there.metadata.uid);
}

function canaryOf({ kind, name, object, template }: Workload, images: Readonly<Record<string, string>>, rollout: string): object {
  const { metadata, spec }: PodTemplate = template;
  const withImages = (containers: PodTemplate['spec']['containers'] = []) =>
    containers.map((container) => ({ ...container, image: images[container.name] ?? container.image }));
  const owner = { apiVersion: workloadResources[kind].apiVersion, kind, name, uid: object.metadata.uid };
  return {
    kind: 'Pod',
    metadata: {
      name: canaryName({ name }),
      labels: { ...metadata?.labels, [canaryLabel]: 'true' },
      annotations: { ...metadata?.annotations, [rolloutAnnotation]: rollout },
      ownerReferences: [owner],
    },
    spec: {
      ...spec,
      containers: withImages(spec.containers),
      ...(spec.initContainers !== undefined && { initContainers: withImages(spec.initContainers) }),
    },
  };
}

const lookMs = 500;

async function untilReady(waiting: PodWait, expected: ExpectedPods): Promise<Pod> {
  const { client, signal, holdsMs, timeoutMs } = waiting;
  const { workload, name } = expected;
  const path = { resource: pods, namespace: workload.namespace, name: canaryName(workload) };
  const until = Date.now() + timeoutMs;
  const seen = new SeenTimes();
  for (;;) {
    const pod = await client.get<Pod>(path, signal);
    if (pod === undefined) throw failed(`the canary of ${name} was deleted while it came up`);
    await requireDigests(waiting, expected, pod);
    if (isReady(pod) && readyMs('canary', [pod], seen) >= holdsMs) return pod;
    await requireHope(waiting, seen, pod, `the canary of ${name}`);
    if (Date.now() >= until)
      throw failed(`expected the canary of ${name} to be ready within ${timeoutMs / 1_000} s, found that it is not`);
    await pause(lookMs, undefined, { signal });
  }
}

async function untilGone({ client, signal, timeoutMs }: PodWait, workload: Workload): Promise<void> {
  const path = { resource: pods, namespace: workload.namespace, name: canaryName(workload) };
  const until = Date.now() + timeoutMs;
  while ((await client.get<Pod>(path, signal)) !== undefined) {
    if (Date.now() >= until) throw failed(`the canary of an earlier rollout, ${canaryName(workload)}, does not go`);
    await pause(lookMs, undefined, { signal });
  }
}
