import assert from 'node:assert/strict';
import type { Digest } from '../../src/domain/image-reference.ts';
import { type Cluster, sharedCluster } from '../support/cluster.ts';
import { argoStatus, controllersIn, installControllers } from '../support/controllers.ts';
import { workload } from '../support/kubernetes-deploy.ts';
import { eventually } from '../support/wait.ts';
import { goodImage, startWorld, type World } from '../support/world.ts';

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('a delivery by Argo CD', function () {
    this.timeout(180_000);
    let cluster: Pick<Cluster, 'kubectl' | 'apply' | 'namespace' | 'kubeconfig'>;
    let world: World;
    let namespace: string;

    before(async () => {
      cluster = await sharedCluster();
      await installControllers(cluster);
      namespace = await cluster.namespace();
      world = await startWorld({
        forge: 'git',
        env: { KUBECONFIG: cluster.kubeconfig },
        service: {
          ...{ scan: 'off', smoke: 'off', merge: 'auto' },
          watch: {
            argocd: { application: '{service}', namespace },
            ...{ for: '1s', interval: '200ms', failures: 2, startPeriod: '1s' },
          },
        },
      });
    });
    afterEach(function () {
      if (this.currentTest?.state === 'failed') console.error(world.lastWords());
    });
    after(() => world.stop());

    /** What Argo CD says of the head of the branch. */
    async function say(sync: string, health: string, more?: object): Promise<void> {
      const commit = (await world.remote.git('rev-parse', 'main')).trim();
      await controllersIn(cluster, namespace).say('applications', argoStatus(commit, namespace, sync, health, more));
    }

    /** It applies what the branch says. */
    async function sync(health: string): Promise<void> {
      const file = await world.remote.read('main', 'docker-compose.yml');
      const image = /image: (\S+team\/web\S+)/.exec(file)?.[1] ?? assert.fail(file);
      await cluster.apply(namespace, workload(image));
      await say('Synced', health);
    }

    const untilMain = (what: string, digest: Digest) =>
      eventually(what, async () => (await world.remote.read('main', 'docker-compose.yml')).includes(digest), 60_000);

    let good: Digest;

    it('is done when the pods of the merged commit run the digest, and goes back through git where that is Degraded', async () => {
      await controllersIn(cluster, namespace).create('applications');
      await world.start();
      good = await world.push('latest');
      await untilMain('the first merge', good);
      await sync('Healthy');
      const delivered = await world.until('latest', good, 'delivered', 60_000);
      assert.match(
        delivered.steps.find(({ step }) => step === 'watch')?.reason ?? '',
        /healthy after .*, digest proven by the container$/,
      );

      const bad = await world.push('latest', { ...goodImage, cmd: ['sh', '-c', 'exit 3'] });
      await untilMain('the second merge', bad);
      await sync('Degraded');
      await untilMain('the revert', good);
      await sync('Healthy');
      const back = await world.until('latest', bad, 'rolled-back', 60_000);
      assert.match(back.reason ?? '', /argocd Application \S+\/web is Synced and Degraded/);
      assert.match(back.reason ?? '', new RegExp(`team/web:latest@${good} is back, healthy`));
    });

    it('goes back where it cannot be synced, which is known from a later commit as well', async () => {
      const denied = await world.push('latest', { ...goodImage, labels: { version: 'denied' } });
      await untilMain('the merge', denied);
      await world.remote.commit('main', { 'README.md': 'later' }, 'later');
      const message = 'admission webhook "policy" denied the request';
      const operationState = {
        phase: 'Failed',
        message,
        syncResult: { revision: (await world.remote.git('rev-parse', 'main')).trim() },
      };
      await say('OutOfSync', 'Healthy', { operationState });
      await untilMain('the revert', good);
      await sync('Healthy');
      const back = await world.until('latest', denied, 'rolled-back', 60_000);
      assert.match(back.reason ?? '', /could not be synced: admission webhook "policy" denied the request/);
    });
  });
}
