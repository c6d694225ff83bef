import { randomBytes } from 'node:crypto';
import type { Deployer } from '../../src/deploys/deploy.ts';
import { createKubernetesDeployer } from '../../src/deploys/kubernetes/deployer.ts';
import { kubernetesDeploy } from '../../src/deploys/kubernetes/index.ts';
import type { KubernetesDeployPlan, KubernetesTarget } from '../../src/deploys/kubernetes/targets.ts';
import type { Repository, Tag } from '../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../src/domain/outcomes.ts';
import { createKubernetesClients, type KubernetesClients } from '../../src/platform/kubernetes/client.ts';
import type { Pod } from '../../src/platform/kubernetes/objects.ts';
import { Registry } from '../../src/platform/registry/registry.ts';
import type { ClusterAccess } from './cluster.ts';
import { hostPlatform, type ImageOptions, pushImage } from './images.ts';
import { deployOf, planOf, stageOf, verifiedOf } from './plans.ts';
import type { RegistryEndpoint } from './registry.ts';

/** A cluster, a deployer that is connected to it, and what tests do there. */
export interface KubernetesWorld {
  readonly clusters: KubernetesClients;
  readonly registry: Registry;
  readonly deployer: Deployer<KubernetesDeployPlan>;
  /** Pushes an image that stays up and stops at once; `version` is its tag, and tells it apart. */
  push(version: string, options?: ImageOptions & { readonly name?: string }): Promise<VerifiedImage>;
  target(
    image: VerifiedImage,
    namespace: string,
    settings?: Readonly<Record<string, unknown>>,
    rollout?: string,
  ): KubernetesTarget;
  /** The pods of a namespace that are not about to go. */
  pods(namespace: string): Promise<Pod[]>;
  /** What `path` (JSONPath) of an object says. */
  field(namespace: string, name: string, path: string): Promise<string>;
}

export function kubernetesWorld(cluster: ClusterAccess & { readonly registry: RegistryEndpoint }): KubernetesWorld {
  const clusters = createKubernetesClients({ KUBECONFIG: cluster.kubeconfig });
  const log = { info() {}, warn() {} };
  // Others have used this cluster: its node keeps what their tags were.
  const ownName = `team/web-${randomBytes(4).toString('hex')}`;
  const registry = new Registry({ credentials: async () => undefined, plainHttp: () => true });
  return {
    clusters,
    registry,
    deployer: createKubernetesDeployer({ clusters, registry, log }),
    async push(version, { name = ownName, ...options } = {}) {
      const digest = await pushImage(cluster.registry, name, version, {
        busybox: true,
        cmd: ['sleep', '3600'],
        ...options,
        env: { VERSION: `${version} ${randomBytes(4).toString('hex')}`, ...options.env },
      });
      const image = verifiedOf({ repository: `${cluster.registry.host}/${name}` as Repository, tag: version as Tag, digest });
      return { ...image, platforms: [{ platform: hostPlatform(), digest }] };
    },
    target(image, namespace, written = { workloads: ['deployment/web'] }, rollout = 'rollout:web:1') {
      const complain = (path: readonly unknown[], message: string) => {
        throw new Error(`${path.join('.')}: ${message}`);
      };
      const input = kubernetesDeploy.schema.parse({ namespace, timeout: '60s', ...written });
      const resolved = kubernetesDeploy.resolve(input, { stage: 'production', sections: {} } as never, complain);
      const stage = stageOf('production', { deploy: deployOf('kubernetes', resolved.settings) });
      const plan = planOf({ repository: image.repository, stages: [stage] });
      return { plan, stage, deploy: resolved.settings as KubernetesDeployPlan, image, rollout };
    },
    async pods(namespace) {
      const listed = JSON.parse(await cluster.kubectl('get', 'pods', '-n', namespace, '-o', 'json')) as { items: Pod[] };
      return listed.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    },
    field: (namespace, name, path) => cluster.kubectl('get', name, '-n', namespace, '-o', `jsonpath=${path}`),
  };
}

/** A workload as its owner has made it, of pods that stop at once. */
export function workload(
  image: string,
  {
    kind = 'Deployment',
    name = 'web',
    replicas = 2,
    spec = {},
    podSpec = {},
    container = {},
    metadata = {},
  }: WorkloadOptions = {},
): object {
  const labels = { app: name };
  const template = {
    metadata: { labels },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'web', image, ...container }], ...podSpec },
  };
  const common = { apiVersion: 'apps/v1', kind, metadata: { name, labels, ...metadata } };
  const selector = { matchLabels: labels };
  if (kind === 'CronJob') {
    const job = { template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } };
    return { ...common, apiVersion: 'batch/v1', spec: { schedule: '0 0 1 1 *', jobTemplate: { spec: job }, ...spec } };
  }
  const counted = kind === 'DaemonSet' ? {} : { replicas };
  return { ...common, spec: { ...counted, selector, template, ...(kind === 'StatefulSet' && { serviceName: name }), ...spec } };
}

export interface WorkloadOptions {
  readonly kind?: 'Deployment' | 'StatefulSet' | 'DaemonSet' | 'CronJob';
  readonly name?: string;
  readonly replicas?: number;
  readonly spec?: object;
  readonly podSpec?: object;
  readonly container?: object;
  readonly metadata?: object;
}
