import type { ClusterAccess } from './cluster.ts';

/** The objects of Argo CD and Flux, in a cluster that has neither of them: tests say what the controllers would. */

const definitions = [
  { group: 'argoproj.io', version: 'v1alpha1', kind: 'Application', plural: 'applications', subresources: {} },
  { group: 'kustomize.toolkit.fluxcd.io', version: 'v1', kind: 'Kustomization', plural: 'kustomizations' },
  { group: 'helm.toolkit.fluxcd.io', version: 'v2', kind: 'HelmRelease', plural: 'helmreleases' },
].map(({ group, version, kind, plural, subresources = { status: {} } }) => {
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  const schema = { openAPIV3Schema: { type: 'object', properties: { spec: anything, status: anything, operation: anything } } };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [{ name: version, served: true, storage: true, schema, subresources }],
    },
  };
});

/** As their installations do it. */
export async function installControllers(cluster: ClusterAccess): Promise<void> {
  await cluster.apply('default', ...definitions);
  const names = definitions.map(({ metadata }) => `crd/${metadata.name}`);
  await cluster.kubectl('wait', '--for=condition=established', '--timeout=2m', ...names);
}

export type ControllerObject = 'applications' | 'kustomizations' | 'helmreleases';

export interface ControllerStage {
  /** Makes the object `web`. */
  create(object: ControllerObject, metadata?: object, spec?: object): Promise<void>;
  /** What its controller says of it now. */
  say(object: ControllerObject, status: object): Promise<void>;
}

export function controllersIn(cluster: ClusterAccess, namespace: string): ControllerStage {
  return {
    async create(object, metadata = {}, spec = {}) {
      const definition = definitions.find(({ spec }) => spec.names.plural === object);
      const { group, names, versions } = definition?.spec ?? { group: '', names: { kind: '' }, versions: [] };
      const [version] = versions;
      const apiVersion = `${group}/${version?.name}`;
      await cluster.apply(namespace, { apiVersion, kind: names.kind, metadata: { name: 'web', ...metadata }, spec });
    },
    async say(object, status) {
      // Argo CD's definition has no subresource.
      const words = object === 'applications' ? [] : ['--subresource=status'];
      const patch = JSON.stringify({ status });
      await cluster.kubectl('patch', object, 'web', '-n', namespace, ...words, '--type=merge', '-p', patch);
    },
  };
}

/** An Application's status after a comparison with a commit. */
export function argoStatus(commit: string, namespace: string, sync: string, health: string, more: object = {}): object {
  return {
    sync: { status: sync, revision: commit, revisions: null },
    health: { status: health },
    resourceHealthSource: 'appTree',
    resources: [
      { version: 'v1', kind: 'Service', namespace, name: 'web', status: sync },
      { group: 'apps', version: 'v1', kind: 'Deployment', namespace, name: 'web', status: sync },
    ],
    operationState: { phase: 'Succeeded', message: 'successfully synced (all tasks run)', syncResult: { revision: commit } },
    ...more,
  };
}

/** Of a Kustomization that has attempted a commit. */
export function fluxStatus(commit: string, namespace: string, ready: readonly [string, string, string]): object {
  const [status, reason, message] = ready;
  const revision = `main@sha1:${commit}`;
  const lastTransitionTime = '2026-01-01T00:00:00Z';
  return {
    conditions: [{ type: 'Ready', status, reason, message, lastTransitionTime, observedGeneration: 1 }],
    lastAttemptedRevision: revision,
    ...(status === 'True' && { lastAppliedRevision: revision }),
    inventory: {
      entries: [
        { id: `${namespace}_web__Service`, v: 'v1' },
        { id: `${namespace}_web_apps_Deployment`, v: 'v1' },
        { id: `_system__web_rbac.authorization.k8s.io_ClusterRole`, v: 'v1' },
      ],
    },
    observedGeneration: 1,
  };
}
