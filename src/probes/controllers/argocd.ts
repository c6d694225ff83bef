import { isFullCommit } from '../../domain/commit.ts';
import type { KubernetesClient } from '../../platform/kubernetes/client.ts';
import type { KubernetesObject, Resource } from '../../platform/kubernetes/objects.ts';
import { type AppliedObject, type ControllerState, readApplied } from './controller.ts';

const applications: Resource = { apiVersion: 'argoproj.io/v1alpha1', plural: 'applications' };

/** What is read of an Application: https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml has its spec, types.go the rest. */
interface Application extends KubernetesObject {
  readonly status?: {
    readonly sync?: Revisions & { readonly status?: string };
    readonly health?: Health;
    readonly operationState?: { readonly phase?: string; readonly message?: string; readonly syncResult?: Revisions };
    readonly conditions?: readonly { readonly type: string; readonly message?: string }[];
    readonly resources?: readonly (AppliedObject & { readonly health?: Health })[];
  };
}

interface Health {
  readonly status?: string;
  readonly message?: string;
}

/** `revisions` where it has several sources. A chart's is a version. */
interface Revisions {
  readonly revision?: string;
  readonly revisions?: readonly string[];
}

const kindOfHealth: Readonly<Record<string, ControllerState['kind']>> = { Healthy: 'good', Degraded: 'bad' };

export async function readApplication(
  client: KubernetesClient,
  named: { readonly namespace: string; readonly name: string },
  signal: AbortSignal,
): Promise<ControllerState | undefined> {
  const application = await client.get<Application>({ resource: applications, ...named }, signal);
  return application && stateOf(application);
}

function stateOf({ status = {} }: Application): ControllerState {
  const { sync = {}, health = {}, operationState = {}, resources = [] } = status;
  const revisions = revisionsOf(sync);
  const hasFailed = operationState.phase === 'Failed' || operationState.phase === 'Error';
  const isOfThese = revisionsOf(operationState.syncResult).join() === revisions.join();
  const common = {
    commits: revisions.filter(isFullCommit),
    workloads: (client: KubernetesClient, signal: AbortSignal) => readApplied(client, resources, signal),
  };
  if (hasFailed && isOfThese) return { ...common, kind: 'bad', text: `could not be synced: ${operationState.message ?? ''}` };
  const kind = sync.status === 'Synced' ? (kindOfHealth[health.status ?? ''] ?? 'none') : 'none';
  const text = `is ${sync.status ?? 'Unknown'} and ${health.status ?? 'Unknown'}`;
  const [why] = kind === 'good' ? [] : messagesOf(status);
  return { ...common, kind, text: why === undefined ? text : `${text}: ${why}` };
}

function revisionsOf({ revision, revisions }: Revisions = {}): readonly string[] {
  return revisions ?? (revision ? [revision] : []);
}

/** Why it is not well. Since Argo CD 3 the health of each resource is there only where that is switched on. */
function messagesOf({ health, resources = [], conditions = [] }: NonNullable<Application['status']>): string[] {
  const degraded = resources.filter((resource) => resource.health?.status === 'Degraded');
  const errors = conditions.filter(({ type }) => type.endsWith('Error'));
  return [
    ...[health?.message].filter((message) => message !== undefined),
    ...degraded.map(({ kind, name, health }) => `${kind} ${name} ${health?.message ?? 'is Degraded'}`),
    ...errors.map(({ type, message }) => `${type} ${message ?? ''}`),
  ];
}
