import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import type { Condition, KubernetesObject, Resource } from '../../platform/kubernetes/objects.ts';
import { listWorkloads, workloadKinds } from '../../platform/kubernetes/workloads.ts';
import { type ControllerState, readApplied } from './controller.ts';

const kustomizations: Resource = { apiVersion: 'kustomize.toolkit.fluxcd.io/v1', plural: 'kustomizations' };
const helmReleases: Resource = { apiVersion: 'helm.toolkit.fluxcd.io/v2', plural: 'helmreleases' };

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/** Flux says of all of its objects in the same way how they are. */
interface FluxObject extends KubernetesObject {
  readonly spec?: { readonly targetNamespace?: string };
  readonly status?: { readonly conditions?: readonly (Condition & { readonly observedGeneration?: number })[] };
}

/** https://fluxcd.io/flux/components/kustomize/kustomizations/#kustomization-status */
interface Kustomization extends FluxObject {
  readonly status?: NonNullable<FluxObject['status']> & {
    readonly lastAttemptedRevision?: string;
    readonly lastAppliedRevision?: string;
    /** Where the source is an artifact of a registry: what that was made from. */
    readonly lastAppliedOriginRevision?: string;
    /** `NAMESPACE_NAME_GROUP_KIND`; names with a colon have two underscores there, and none of them makes pods. */
    readonly inventory?: { readonly entries?: readonly { readonly id: string }[] };
  };
}

/** What comes right once something else does. */
const passing = ['Progressing', 'DependencyNotReady', 'ArtifactFailed', 'HealthCheckCanceled'];

export async function readKustomization(
  client: KubernetesClient,
  named: Named,
  signal: AbortSignal,
): Promise<ControllerState | undefined> {
  const kustomization = await client.get<Kustomization>({ resource: kustomizations, ...named }, signal);
  if (kustomization === undefined) return undefined;
  const { inventory } = kustomization.status ?? {};
  const applied = (inventory?.entries ?? []).map(({ id }) => {
    const [namespace = '', name = '', group = '', kind = ''] = id.split('_');
    return { namespace, name, group, kind };
  });
  return {
    ...readinessOf(kustomization),
    commits: commitsOf(kustomization),
    workloads: (client, signal) => readApplied(client, applied, signal),
  };
}

/**
 * A HelmRelease names no commit, only the version of its chart. Where a Kustomization has brought it, that one says from which commit, and
 * whether that came through.
 */
export async function readHelmRelease(
  client: KubernetesClient,
  named: Named,
  signal: AbortSignal,
): Promise<ControllerState | undefined> {
  const release = await client.get<FluxObject>({ resource: helmReleases, ...named }, signal);
  if (release === undefined) return undefined;
  const owner = await readOwner(client, release, signal);
  const own = readinessOf(release);
  // What comes with it in the Kustomization may be unwell without any harm to it.
  const isHeldUp = owner !== undefined && owner.kind !== 'good' && owner.reason !== 'HealthCheckFailed';
  const worse =
    isHeldUp && own.kind !== 'bad' ? { kind: owner.kind, text: `waits for its Kustomization, which ${owner.text}` } : own;
  const label = `helm.toolkit.fluxcd.io/name=${named.name},helm.toolkit.fluxcd.io/namespace=${named.namespace}`;
  const target = release.spec?.targetNamespace ?? named.namespace;
  return {
    ...worse,
    commits: owner?.commits ?? [],
    workloads: (client, signal) => listWorkloads(client, target, workloadKinds, label, signal),
  };
}

async function readOwner(client: KubernetesClient, { metadata: { labels = {} } }: FluxObject, signal: AbortSignal) {
  const name = labels['kustomize.toolkit.fluxcd.io/name'];
  const namespace = labels['kustomize.toolkit.fluxcd.io/namespace'];
  if (name === undefined || namespace === undefined) return undefined;
  const owner = await client.get<Kustomization>({ resource: kustomizations, namespace, name }, signal);
  return owner && { ...readinessOf(owner), commits: commitsOf(owner) };
}

/** `main@sha1:COMMIT`, `main/COMMIT` of older versions; a registry's `latest@sha256:DIGEST` is none. */
function commitsOf({ status = {} }: Kustomization): string[] {
  const { lastAttemptedRevision = '', lastAppliedRevision, lastAppliedOriginRevision = '' } = status;
  const origin = lastAppliedRevision === lastAttemptedRevision ? lastAppliedOriginRevision : '';
  return [lastAttemptedRevision, origin].flatMap((revision) => /(?:^|[@/:])([0-9a-f]{40})$/.exec(revision)?.[1] ?? []);
}

function readinessOf({ metadata, status }: FluxObject): Pick<ControllerState, 'kind' | 'text'> & { readonly reason?: string } {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  const isSeen = ready?.observedGeneration === undefined || ready.observedGeneration === metadata.generation;
  if (ready === undefined || !isSeen) return { kind: 'none', text: 'was not looked at by Flux yet' };
  const { reason = 'Unknown', message = '' } = ready;
  const text = `says ${reason}: ${message}`;
  if (ready.status === 'True') return { kind: 'good', text, reason };
  return { kind: ready.status === 'False' && !passing.includes(reason) ? 'bad' : 'none', text, reason };
}
