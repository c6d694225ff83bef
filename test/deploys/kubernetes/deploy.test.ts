import assert from 'node:assert/strict';
import { type Cluster, sharedCluster } from '../../support/cluster.ts';
import { work } from '../../support/docker-deploy.ts';
import { type KubernetesWorld, kubernetesWorld, workload } from '../../support/kubernetes-deploy.ts';

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('a deploy to Kubernetes', function () {
    this.timeout(120_000);
    let cluster: Pick<Cluster, 'kubectl' | 'apply' | 'namespace' | 'registry' | 'kubeconfig'>;
    let world: KubernetesWorld;

    before(async () => {
      cluster = await sharedCluster();
      world = kubernetesWorld(cluster);
    });

    const takeFrom = ['kubectl'];

    it('sets the image of a Deployment, waits for its pods, proves their digest, goes back, and is idempotent', async () => {
      const namespace = await cluster.namespace();
      const [one, two] = [await world.push('1.0'), await world.push('2.0')];
      await cluster.apply(namespace, workload(`${one.repository}:1.0`));
      const settings = { workloads: ['deployment/web'], takeFrom };
      const target = world.target(two, namespace, settings);
      await cluster.kubectl('rollout', 'status', 'deployment/web', '-n', namespace, '--timeout=60s');
      const before = await world.deployer.running(target);
      assert.deepEqual(before, [{ name: 'deployment/web/web', reference: `${one.repository}:1.0`, digest: one.digest }]);

      const deployed = await world.deployer.deploy(target, work());
      assert.deepEqual(deployed.running, [
        { name: 'deployment/web/web', reference: `${two.repository}:2.0@${two.digest}`, digest: two.digest },
      ]);
      assert.equal(deployed.text, 'set deployment/web; 2 pods run the digest');
      const names = (await world.pods(namespace)).map(({ metadata }) => metadata.name).sort();
      const again = await world.deployer.deploy(target, work());
      assert.equal(again.changed, true);
      const other = await world.deployer.deploy({ ...target, rollout: 'rollout:web:2' }, work());
      assert.equal(other.changed, false);
      assert.deepEqual((await world.pods(namespace)).map(({ metadata }) => metadata.name).sort(), names);

      const restored = await world.deployer.restore({ ...target, rollout: 'rollback:web:1' }, before, work());
      assert.deepEqual(restored.running, [
        { name: 'deployment/web/web', reference: `${one.repository}:1.0@${one.digest}`, digest: one.digest },
      ]);
    });
  });
}
