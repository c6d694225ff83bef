import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { Digest } from '../../../src/domain/image-reference.ts';
import { type Cluster, startCluster } from '../../support/cluster.ts';
import type { ImageOptions } from '../../support/images.ts';
import { workload } from '../../support/kubernetes-deploy.ts';
import { untilScheduled } from '../../support/temporal.ts';
import { startWorld, type World } from '../../support/world.ts';

/** Stays up; no two are the same. */
const well = (version: number): ImageOptions => ({ busybox: true, cmd: ['sleep', '3600'], env: { VERSION: `${version}` } });
const crashing = (version: number): ImageOptions => ({ ...well(version), cmd: ['sh', '-c', 'echo no database; exit 1'] });

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('a delivery to Kubernetes', function () {
    this.timeout(240_000);
    let cluster: Cluster;
    let world: World;
    let namespace: string;
    let version = 0;
    let templates = 1;
    let good: Digest;

    before(async () => {
      cluster = await startCluster();
      namespace = await cluster.namespace();
      const kubernetes = { namespace, workloads: ['deployment/web'], takeFrom: ['kubectl'], restarts: 0 };
      world = await startWorld({
        forge: 'git',
        env: { KUBECONFIG: cluster.kubeconfig },
        service: {
          change: 'off',
          scan: 'off',
          smoke: 'off',
          deploy: { kubernetes },
          watch: { kubernetes: true, for: '2s', interval: '500ms' },
          rollback: 'auto',
        },
      });
      good = await world.push('first', well(0));
      await cluster.apply(namespace, workload(`${world.host}/team/web@${good}`, { replicas: 1, spec: { minReadySeconds: 2 } }));
      await cluster.kubectl('rollout', 'status', 'deployment/web', '-n', namespace, '--timeout=60s');
      await world.start('quick');
    });
    afterEach(function () {
      if (this.currentTest?.state === 'failed') console.error(world.lastWords());
    });
    after(async () => {
      await world?.stop();
      await cluster?.stop();
    });

    const push = async (image: (version: number) => ImageOptions): Promise<Digest> => {
      version += 1;
      return await world.push('latest', image(version));
    };
    const field = async (path: string) =>
      (await cluster.kubectl('get', 'deployment/web', '-n', namespace, '-o', `jsonpath=${path}`)).trim();
    const list = async (what: string, path: string) => {
      const words = ['get', what, '-n', namespace, '-o', `jsonpath={range .items[*]}${path}{"\\n"}{end}`];
      return (await cluster.kubectl(...words)).trim().split('\n');
    };
    /** It runs, and nothing else; the template was changed so often since the last time. */
    const assertRuns = async (digest: Digest, changes: number) => {
      assert.ok((await field('{.spec.template.spec.containers[0].image}')).endsWith(digest));
      assert.equal(await field('{.status.updatedReplicas}/{.status.replicas}/{.status.availableReplicas}'), '1/1/1');
      templates += changes;
      assert.equal((await list('replicasets', '{.metadata.name}')).length, templates);
    };
    const killDuring = async (digest: Digest, activity: string, nth = 1): Promise<void> => {
      await untilScheduled(world.temporal, world.rollout('latest', digest).workflowId, activity, { nth });
      await world.landfall().kill();
      await world.start('quick');
    };

    for (const activity of ['snapshotStage', 'deployStage', 'watchStage']) {
      it(`ends well where Landfall is killed in ${activity}: one change of the template`, async () => {
        const digest = await push(well);
        await killDuring(digest, activity);
        const { steps } = await world.until('latest', digest, 'delivered');
        const watch = steps.find(({ step }) => step === 'watch');
        assert.match(watch?.reason ?? '', /digest proven by the container/);
        await assertRuns(digest, 1);
        good = digest;
      });
    }

    for (const [activity, nth] of [
      ['deployStage', 1],
      ['rollBackStage', 1],
      ['watchStage', 1],
    ] as const) {
      it(`of what crashes goes back where Landfall is killed in ${activity}, and is told why`, async () => {
        const digest = await push(crashing);
        await killDuring(digest, activity, nth);
        const { reason } = await world.until('latest', digest, 'rolled-back');
        assert.match(reason ?? '', /CrashLoopBackOff.*its last line: no database.*is back, healthy \d+\.\d s after the verdict/);
        // Going back is no new template: the pods that Kubernetes had left of it go on.
        await assertRuns(good, 1);
      });
    }

    it('waits for an API server that is away for a minute while it deploys, and delivers', async () => {
      const digest = await push(well);
      await untilScheduled(world.temporal, world.rollout('latest', digest).workflowId, 'deployStage', {});
      await cluster.stopApiServer();
      await pause(60_000);
      await cluster.startApiServer();
      await world.until('latest', digest, 'delivered');
      await assertRuns(digest, 1);
    });
  });
}
