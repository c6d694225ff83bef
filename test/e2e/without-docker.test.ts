import assert from 'node:assert/strict';
import { type Cluster, startCluster } from '../support/cluster.ts';
import type { ImageOptions } from '../support/images.ts';
import { type SmokeCluster, smokeCluster } from '../support/smoke-pods.ts';
import { startWorld, type World } from '../support/world.ts';

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('a Landfall without Docker', function () {
    this.timeout(180_000);
    let cluster: Cluster | undefined;
    let world: World | undefined;
    let smoke: SmokeCluster;
    let namespace: string;

    before(async () => {
      cluster = await startCluster();
      smoke = await smokeCluster(cluster);
      namespace = await smoke.namespace();
      world = await startWorld({
        forge: 'git',
        service: { smoke: { timeout: '60s', http: { port: 8080, path: '/health' }, kubernetes: { namespace } } },
        env: { KUBECONFIG: smoke.kubeconfig, DOCKER_HOST: 'unix:///nowhere/docker.sock' },
      });
      await world.start('quick');
    });
    after(async function () {
      if (this.test?.parent?.tests.some(({ state }) => state === 'failed')) console.error(world?.lastWords());
      await world?.stop();
      await cluster?.stop();
    });

    const serves = (page: string): ImageOptions => {
      const cmd = ['httpd', '-f', '-p', '8080', '-h', '/www'];
      return { busybox: true, user: '1000', cmd, files: { [`www/${page}`]: page } };
    };

    it('scans and tests what is pushed, removes the pod of a rollout that is aborted, and sweeps what it left when it was killed', async () => {
      assert.ok(world);
      const good = await world.push('latest', serves('health'));
      const { steps } = await world.until('latest', good, 'proposed');
      const passed = steps.filter(({ status }) => status === 'passed').map(({ step }) => step);
      assert.deepEqual(
        ['scan', 'smoke'].filter((step) => !passed.includes(step)),
        [],
      );
      assert.match(steps.find(({ step }) => step === 'smoke')?.reason ?? '', /^ready by http after \S+ s in a pod on /);
      await smoke.nothingIsLeft(namespace);

      const aborted = await world.push('latest', serves('other'));
      await smoke.runningPod(namespace);
      await world.rollout('latest', aborted).executeUpdate('abort', { args: [{ by: 'ann', reason: 'not now' }] });
      await smoke.nothingIsLeft(namespace);

      const left = await world.push('latest', serves('another'));
      await smoke.runningPod(namespace);
      await world.landfall().kill();
      await world.rollout('latest', left).terminate();
      await world.start('quick');
      await smoke.nothingIsLeft(namespace);
      assert.equal(
        world
          .landfall()
          .output()
          .match(/could not ask Docker what to sweep/g)?.length,
        1,
      );
    });
  });
}
