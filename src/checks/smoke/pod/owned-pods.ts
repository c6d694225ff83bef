import { type AskPending, type Ownership, parseLabels } from '../../../platform/docker/labels.ts';
import type { KubernetesClient } from '../../../platform/kubernetes/client.ts';
import { type Pod, pods } from '../../../platform/kubernetes/objects.ts';
import type { CheckContext } from '../../check.ts';
import type { PodSettings, SmokePlan } from '../plan.ts';
import { selectorOf } from './pod.ts';

interface OwnedPod {
  readonly pod: Pod;
  readonly owner: Ownership;
}

/**
 * The pods that smoke tests of this installation have made and not removed. What labels say of a pod needs no proof, as those of a container do:
 * they are not from its image, but from whoever may make pods in that namespace.
 */
export async function findPods(
  client: KubernetesClient,
  namespace: string,
  installation: string,
  signal: AbortSignal,
): Promise<OwnedPod[]> {
  const labelSelector = selectorOf(installation);
  const listed = await client.list<Pod>({ resource: pods, namespace }, { labelSelector }, signal);
  return listed.flatMap((pod) => {
    const owner = parseLabels(pod.metadata.annotations ?? {});
    return owner === undefined ? [] : [{ pod, owner }];
  });
}

/** That very one. */
export async function removePod(client: KubernetesClient, { metadata }: Pod, signal: AbortSignal): Promise<void> {
  const { name, namespace, uid } = metadata;
  await client.remove({ resource: pods, namespace, name }, signal, uid);
}

/** The sweep's own time: nobody waits for it, and it is done again in a minute. */
const sweepMs = 60_000;

/** Removes the pods of smoke tests that no longer run, wherever a service has its smoke tests done. @returns their names */
export async function sweepPods(context: CheckContext, plans: readonly SmokePlan[], isPending: AskPending): Promise<string[]> {
  const swept = await Promise.allSettled(placesOf(plans).map((place) => sweepPlace(context, place, isPending)));
  // A cluster that does not answer does not keep the others.
  const failed = swept.find((each) => each.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
  return swept.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
}

async function sweepPlace(
  context: CheckContext,
  { context: cluster, namespace }: PodSettings,
  isPending: AskPending,
): Promise<string[]> {
  const signal = AbortSignal.timeout(sweepMs);
  const client = await context.clusters(cluster);
  const removed: string[] = [];
  for (const { pod, owner } of await findPods(client, namespace, installationOf(context), signal)) {
    const isOver = owner.deadline <= context.now() || !(await isPending(owner.rollout, owner.run, owner.activity));
    if (!isOver || pod.metadata.deletionTimestamp !== undefined) continue;
    await removePod(client, pod, signal);
    const { name } = pod.metadata;
    context.log.info({ pod: name, namespace, rollout: owner.rollout, worker: owner.worker }, 'removed what a smoke test left');
    removed.push(name);
  }
  return removed;
}

function placesOf(plans: readonly SmokePlan[]): PodSettings[] {
  const places = plans.flatMap(({ kubernetes }) => kubernetes ?? []);
  return [...new Map(places.map((place) => [`${place.context} ${place.namespace}`, place])).values()];
}

/** In tests there may be none. */
export function installationOf({ installation, workerId }: Pick<CheckContext, 'installation' | 'workerId'>): string {
  return installation ?? workerId;
}
