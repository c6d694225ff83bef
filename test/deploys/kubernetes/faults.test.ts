import assert from 'node:assert/strict';
import { createKubernetesDeployer } from '../../../src/deploys/kubernetes/deployer.ts';
import { concurrently } from '../../../src/domain/concurrently.ts';
import { Refusal } from '../../../src/domain/failures.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { KubernetesClient } from '../../../src/platform/kubernetes/client.ts';
import { readClusterContext } from '../../../src/platform/kubernetes/kubeconfig.ts';
import { type Cluster, startCluster } from '../../support/cluster.ts';
import { work } from '../../support/docker-deploy.ts';
import { type KubernetesWorld, kubernetesWorld, workload } from '../../support/kubernetes-deploy.ts';
import { eventually } from '../../support/wait.ts';

class CutOff extends Error {}

interface CutOffAt {
  readonly at: number;
  readonly when: 'before' | 'after';
}

const requests = ['get', 'list', 'apply', 'create', 'remove'] as const;

/** A client that ends with the nth request, before it is sent or before its answer is told, as the process that asks would be killed. */
async function cutOffClient(kubeconfig: string, { at, when }: CutOffAt, killed: AbortController): Promise<KubernetesClient> {
  const env = { KUBECONFIG: kubeconfig };
  const client = new KubernetesClient(await readClusterContext(env), env);
  let asked = 0;
  for (const verb of requests) {
    const original: unknown = Reflect.get(client, verb);
    assert.ok(typeof original === 'function');
    const asking = async (...words: unknown[]): Promise<unknown> => {
      asked += 1;
      const isIt = asked >= at;
      if (isIt) killed.abort(new CutOff());
      if (isIt && when === 'before') throw new CutOff();
      const answer: unknown = await Reflect.apply(original, client, words);
      if (isIt) throw new CutOff();
      return answer;
    };
    Object.assign(client, { [verb]: asking });
  }
  return client;
}

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('a deploy to Kubernetes that is cut off', function () {
    this.timeout(240_000);
    let cluster: Cluster;
    let world: KubernetesWorld;
    const log = { info() {}, warn() {} };
    const settings = { workloads: ['deployment/web'], takeFrom: ['kubectl'] };
    const options = { replicas: 1 };

    before(async () => {
      cluster = await startCluster();
      world = kubernetesWorld(cluster);
    });
    after(() => cluster?.stop());

    async function up(image: VerifiedImage): Promise<string> {
      const namespace = await cluster.namespace();
      await cluster.apply(namespace, workload(`${image.repository}@${image.digest}`, options));
      await cluster.kubectl('rollout', 'status', 'deployment/web', '-n', namespace, '--timeout=4m');
      return namespace;
    }
    const templates = async (namespace: string) =>
      (await cluster.kubectl('get', 'replicasets', '-n', namespace, '-o', 'name')).trim().split('\n').length;

    it('at any request, or before its answer, ends right when it is repeated: one change of the template, the digest proven', async () => {
      const [one, two] = [await world.push('1.0'), await world.push('2.0')];
      // The workload and its pods are read, then it is written, and then looked at again and again.
      const cuts = [
        { at: 2, when: 'before' },
        { at: 3, when: 'before' },
        { at: 3, when: 'after' },
        { at: 5, when: 'after' },
      ] as const;
      await concurrently(cuts, 4, async (cut) => {
        const namespace = await up(one);
        const target = world.target(two, namespace, settings);
        const before = await world.deployer.running(target);
        const cutOff = async (act: (deployer: typeof world.deployer, signal: AbortSignal) => Promise<unknown>) => {
          const killed = new AbortController();
          const client = await cutOffClient(cluster.kubeconfig, cut, killed);
          const deployer = createKubernetesDeployer({ clusters: async () => client, registry: world.registry, log });
          await assert.rejects(act(deployer, killed.signal), CutOff);
        };
        await cutOff((deployer, signal) => deployer.deploy(target, work({ signal })));
        const { running } = await world.deployer.deploy(target, work());
        assert.equal(running[0]?.digest, two.digest, JSON.stringify(cut));
        assert.equal(await templates(namespace), 2, JSON.stringify(cut));
        const rollback = { ...target, rollout: 'rollback:web:1' };
        await cutOff((deployer, signal) => deployer.restore(rollback, before, work({ signal })));
        const restored = await world.deployer.restore(rollback, before, work());
        assert.equal(restored.running[0]?.digest, one.digest, JSON.stringify(cut));
      });
    });

    it('waits for an API server that is away, and goes on when it is back; told as broken where nothing was begun', async () => {
      const [one, two, three] = [
        await world.push('1.0'),
        await world.push('2.0'),
        await world.push('3.0', { cmd: ['sleep', '3600'] }),
      ];
      const slow = { container: { readinessProbe: { exec: { command: ['test', '-e', '/tmp/ready'] }, periodSeconds: 1 } } };
      const namespace = await cluster.namespace();
      await cluster.apply(namespace, workload(`${one.repository}@${one.digest}`, { ...options, ...slow }));
      const touch = async (pod: string) =>
        void (await cluster.kubectl('exec', '-n', namespace, pod, '--', 'touch', '/tmp/ready'));
      const podOf = async (version: VerifiedImage) =>
        await eventually(`a pod of ${version.tag}`, async () => {
          const pods = await world.pods(namespace);
          const found = pods.find(
            ({ spec, status }) => spec.containers[0]?.image?.endsWith(version.digest) && status?.phase === 'Running',
          );
          return found && `pod/${found.metadata.name}`;
        });
      await touch(await podOf(one));
      const deploying = world.deployer.deploy(world.target(two, namespace, settings), work());
      const pod = await podOf(two);
      await cluster.stopApiServer();
      await assert.rejects(world.deployer.deploy(world.target(three, namespace, settings), work()), (error) => {
        assert.ok(error instanceof Error && !(error instanceof Refusal));
        assert.match(error.message, /^Kubernetes \(\S+, https:\S+\) did not answer: /);
        return true;
      });
      await cluster.startApiServer();
      await touch(pod);
      assert.equal((await deploying).running[0]?.digest, two.digest);
    });

    it('leaves what a person sets meanwhile, and says so; and does not go back over it', async () => {
      const [one, two, person] = [
        await world.push('1.0'),
        await world.push('2.0', { cmd: ['sleep', '3601'] }),
        await world.push('person'),
      ];
      const unready = { container: { readinessProbe: { exec: { command: ['false'] }, periodSeconds: 1 } } };
      const namespace = await cluster.namespace();
      await cluster.apply(namespace, workload(`${one.repository}:1.0`, { ...options, ...unready }));
      const target = world.target(two, namespace, settings);
      const deploying = world.deployer.deploy(target, work());
      const image = () => world.field(namespace, 'deployment/web', '{.spec.template.spec.containers[0].image}');
      await Promise.all([
        assert.rejects(deploying, /somebody set the image of container web of deployment\/web in \S+ to \S+:person while/),
        (async () => {
          await eventually('ours', async () => (await image()).includes(two.digest));
          await cluster.kubectl('set', 'image', 'deployment/web', `web=${person.repository}:person`, '-n', namespace);
        })(),
      ]);
      const before = [{ name: 'deployment/web/web', reference: `${one.repository}:1.0`, digest: one.digest }];
      await assert.rejects(
        world.deployer.restore({ ...target, rollout: 'rollback:web:1' }, before, work()),
        /belongs to the field manager kubectl-set:/,
      );
      assert.equal(await image(), `${person.repository}:person`);
    });
  });
}
