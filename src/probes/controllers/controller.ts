import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import { listWorkloads, type Workload, workloadKinds } from '../../platform/kubernetes/workloads.ts';

/** What a GitOps controller says of one object: Argo CD of an Application, Flux of a Kustomization or HelmRelease. */
export interface ControllerState {
  /** What it has applied, or is applying: a commit of each of its sources that is a git repository. */
  readonly commits: readonly string[];
  /** `good`: all of that is applied, and healthy. `bad`: it failed. `none`: it is under way. */
  readonly kind: 'good' | 'bad' | 'none';
  /** In its own words: `is Synced and Degraded`. */
  readonly text: string;
  /** What makes pods of what it has applied. */
  readonly workloads: (client: KubernetesClient, signal: AbortSignal) => Promise<readonly Workload[]>;
}

/** As a controller lists what it has applied. */
export interface AppliedObject {
  readonly group?: string;
  readonly kind?: string;
  readonly namespace?: string;
  readonly name?: string;
}

/** Whether a commit is ours, or one that came after it; undefined where nobody can tell. */
export type CommitCheck = (found: string) => Promise<boolean | undefined>;

/** By one question for each kind and namespace: an Application may have hundreds. */
export async function readApplied(
  client: KubernetesClient,
  applied: readonly AppliedObject[],
  signal: AbortSignal,
): Promise<Workload[]> {
  const makers = applied.filter(({ group = '' }) => group === 'apps' || group === 'batch');
  const found = await Promise.all(
    [...Map.groupBy(makers, ({ namespace = '' }) => namespace)].map(async ([namespace, objects]) => {
      const kinds = workloadKinds.filter((kind) => objects.some((object) => object.kind === kind));
      const listed = await listWorkloads(client, namespace, kinds, undefined, signal);
      return listed.filter(({ kind, name }) => objects.some((object) => object.kind === kind && object.name === name));
    }),
  );
  return found.flat();
}
