import { Refusal } from '../../../domain/failures.ts';
import type { CleanUpLater } from '../../../platform/docker/clean-up.ts';
import type { KubernetesClient } from '../../../platform/kubernetes/client.ts';
import { Forbidden, isConflict, isInvalid, KubernetesError } from '../../../platform/kubernetes/errors.ts';
import { type KubernetesObject, networkPolicies, pods, secrets } from '../../../platform/kubernetes/objects.ts';
import { closedLabel, type PodRequest, podOf } from './pod.ts';

/** Where something is made. */
interface PodTarget {
  readonly client: KubernetesClient;
  readonly namespace: string;
}

const manager = 'landfall';
const policyName = 'landfall-closed';
/** Creating is never cut short: the API server would go on, and make something after its clean-up. */
const whole = new AbortController().signal;

/** It is for our pods alone, so it harms nothing else of the namespace. One of that name that somebody has changed is left as it is. */
export async function ensureClosedNetwork({ client, namespace }: PodTarget, signal: AbortSignal): Promise<void> {
  const path = { resource: networkPolicies, namespace };
  if ((await client.get({ ...path, name: policyName }, signal)) !== undefined) return;
  const policy = {
    kind: 'NetworkPolicy',
    metadata: { name: policyName, namespace },
    spec: { podSelector: { matchLabels: closedLabel }, policyTypes: ['Ingress', 'Egress'] },
  };
  await client.create(path, policy, manager, whole).catch((error: unknown) => {
    // Another smoke test was faster.
    if (!isConflict(error)) throw explained(error, { client, namespace });
  });
}

/** Makes the pod, and the Secret with its environment. @param later removes the pod, with which the Secret goes */
export async function createPod(
  { client, namespace }: PodTarget,
  request: PodRequest,
  variables: Readonly<Record<string, string>>,
  later: CleanUpLater,
): Promise<void> {
  const { name } = request;
  try {
    later(`remove pod ${name}`, () => client.remove({ resource: pods, namespace, name }, whole));
    const made = await client.create({ resource: pods, namespace }, podOf(request), manager, whole);
    if (request.hasEnvironment) await createEnvironment({ client, namespace }, made, variables);
  } catch (error) {
    throw explained(error, { client, namespace });
  }
}

/** Whoever may look at pods need not be one who may look at secrets. The pod waits for it. */
async function createEnvironment(
  { client, namespace }: PodTarget,
  { metadata: { name, uid } }: KubernetesObject,
  stringData: Readonly<Record<string, string>>,
): Promise<void> {
  const ownerReferences = [{ apiVersion: pods.apiVersion, kind: 'Pod', name, uid }];
  const secret = { kind: 'Secret', metadata: { name, namespace, ownerReferences }, immutable: true, stringData };
  await client.create({ resource: secrets, namespace }, secret, manager, whole);
}

function explained(error: unknown, { client, namespace }: PodTarget): unknown {
  const where = `the namespace ${namespace} of ${client.context.name}`;
  if (error instanceof Forbidden && /exceeded quota/.test(error.message))
    return new Error(`${where} is full, and the smoke test is tried again: ${error.message}`, { cause: error });
  // Nobody has to be allowed to ask for a namespace: but nothing can be made in one that is not there.
  if (error instanceof KubernetesError && error.status === 404) {
    const message = `expected ${where} for smoke tests, found none: create it, as docs/kubernetes.md says, or correct smoke.kubernetes`;
    return new Refusal('TargetNotFound', message, [], { cause: error });
  }
  if (!isInvalid(error)) return error;
  return new Refusal('DeployRefused', `Kubernetes does not take the smoke test: ${error.message}`, [], { cause: error });
}
