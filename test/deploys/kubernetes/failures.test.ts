import assert from 'node:assert/strict';
import type { Digest } from '../../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { type Cluster, sharedCluster } from '../../support/cluster.ts';
import { work } from '../../support/docker-deploy.ts';
import { type KubernetesWorld, kubernetesWorld, type WorkloadOptions, workload } from '../../support/kubernetes-deploy.ts';
import { digestOf } from '../../support/plans.ts';
import { eventually } from '../../support/wait.ts';

/** What will not come up, who is to blame for it, and what is said. */
interface Failure {
  readonly what: string;
  /** Of the workload as its owner made it, with an image that runs. */
  readonly options?: WorkloadOptions;
  /** Further objects of the namespace; and what is done once the workload runs. */
  readonly prepare?: (namespace: string) => Promise<void>;
  readonly image: () => Promise<VerifiedImage>;
  readonly failure: 'DeployFailed' | 'DeployRefused';
  readonly says: RegExp;
  readonly log?: RegExp;
}

function logIn(details: unknown): string {
  const [first]: unknown[] = Array.isArray(details) ? details : [];
  return typeof first === 'object' && first !== null && 'log' in first ? String(first.log) : '';
}

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('what will not come up in Kubernetes', function () {
    this.timeout(180_000);
    let cluster: Pick<Cluster, 'kubectl' | 'apply' | 'namespace' | 'registry' | 'kubeconfig'>;
    let world: KubernetesWorld;
    let good: VerifiedImage;

    before(async () => {
      cluster = await sharedCluster();
      world = kubernetesWorld(cluster);
      good = await world.push('good');
    });

    const container = (resources: object) => ({ container: { resources } });
    const failures: readonly Failure[] = [
      {
        what: 'an image that the registry does not have',
        image: async () => ({ ...good, digest: digestOf('gone') as Digest }),
        failure: 'DeployRefused',
        says: /container web of pod web-\S+ cannot start \((?:ErrImagePull|ImagePullBackOff)\).*not found.*the image was set back to what it was/s,
      },
      {
        what: 'a Secret that is not there',
        options: { container: { env: [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'keys', key: 'key' } } }] } },
        prepare: (namespace) => cluster.kubectl('delete', 'secret', 'keys', '-n', namespace).then(() => undefined),
        image: () => world.push('no-secret'),
        failure: 'DeployRefused',
        says: /cannot start \(CreateContainerConfigError\): secret "keys" not found/,
      },
      {
        what: 'a process that ends again and again',
        options: { container: { env: [{ name: 'DB_PASSWORD', value: 'hunter22' }] } },
        image: () => world.push('crash', { cmd: ['sh', '-c', 'echo it cannot reach the database with $DB_PASSWORD; exit 3'] }),
        failure: 'DeployFailed',
        says: /ended again and again: 2 restarts, exit code 3 \(CrashLoopBackOff\); its last line: it cannot reach the database with \[masked\]/,
        log: /^it cannot reach the database with \[masked\]$/,
      },
      {
        what: 'a process that takes too much memory',
        options: container({ limits: { memory: '16Mi' } }),
        image: () => world.push('hungry', { cmd: ['sh', '-c', 'x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done'] }),
        failure: 'DeployFailed',
        says: /was killed because it took more memory than its limit \(OOMKilled\)/,
      },
      {
        what: 'pods that no node can take',
        options: { replicas: 1, spec: { strategy: { type: 'Recreate' } } },
        prepare: async (namespace) => {
          const patch = { spec: { template: { spec: { nodeSelector: { disk: 'fast' } } } } };
          await cluster.kubectl('patch', 'deployment/web', '-n', namespace, '--patch', JSON.stringify(patch));
        },
        image: () => world.push('homeless'),
        failure: 'DeployRefused',
        says: /finds no node \(Unschedulable\): 0\/1 nodes are available.*node affinity/,
      },
      {
        what: 'pods that a quota does not let be made',
        prepare: (namespace) =>
          cluster.kubectl('create', 'quota', 'tight', '--hard=pods=2', '-n', namespace).then(() => undefined),
        image: () => world.push('one-too-many'),
        failure: 'DeployRefused',
        says: /deployment\/web in \S+ gets no new pods: .*exceeded quota: tight/,
      },
    ];

    it('is told within a minute, with what Kubernetes says of it; what the cluster is to blame for is set back', async () => {
      await Promise.all(
        failures.map(async ({ what, options, prepare, image, failure, says, log }) => {
          const namespace = await cluster.namespace();
          await cluster.kubectl('create', 'secret', 'generic', 'keys', '--from-literal=key=1', '-n', namespace);
          await cluster.apply(namespace, workload(`${good.repository}@${good.digest}`, options));
          await cluster.kubectl('rollout', 'status', 'deployment/web', '-n', namespace, '--timeout=4m');
          await prepare?.(namespace);
          const target = world.target(await image(), namespace, {
            workloads: ['deployment/web'],
            takeFrom: ['kubectl'],
            timeout: '170s',
          });
          const beganAt = performance.now();
          await assert.rejects(world.deployer.deploy(target, work()), (error) => {
            assert.ok(error instanceof Error && 'type' in error && 'details' in error, String(error));
            assert.equal(error.type, failure, `${what}: ${error.message}`);
            assert.match(error.message, says);
            if (log !== undefined) assert.match(logIn(error.details), log, what);
            return true;
          });
          const tookMs = performance.now() - beganAt;
          assert.ok(tookMs < 60_000, `${what} took ${tookMs} ms`);
          if (failure === 'DeployFailed') return;
          await eventually(`${what}: what was before`, async () => {
            const now = await world.field(namespace, 'deployment/web', '{.spec.template.spec.containers[0].image}');
            return now === `${good.repository}@${good.digest}`;
          });
        }),
      );
    });
  });
}
