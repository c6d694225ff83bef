import assert from 'node:assert/strict';
import { Refusal } from '../../../src/domain/failures.ts';
import type { Digest, Repository, Tag } from '../../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { type Cluster, sharedCluster } from '../../support/cluster.ts';
import { work } from '../../support/docker-deploy.ts';
import { pushIndex } from '../../support/images.ts';
import { type KubernetesWorld, kubernetesWorld, type WorkloadOptions, workload } from '../../support/kubernetes-deploy.ts';
import { verifiedOf } from '../../support/plans.ts';

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

    /** Made, and up. */
    async function made(image: string, options: WorkloadOptions = {}): Promise<string> {
      const namespace = await cluster.namespace();
      const { kind = 'Deployment', name = 'web' } = options;
      await cluster.apply(namespace, workload(image, options));
      if (kind !== 'CronJob') await cluster.kubectl('rollout', 'status', `${kind}/${name}`, '-n', namespace, '--timeout=60s');
      return namespace;
    }
    const named = ({ repository, tag, digest }: VerifiedImage) => `${repository}:${tag}@${digest}`;

    it('knows what StatefulSets above their partition, DaemonSets, CronJobs, init containers and what is scaled to nothing need', async () => {
      const [one, two] = [await world.push('1.0'), await world.push('2.0')];
      const init = { initContainers: [{ name: 'migrate', image: named(one), command: ['true'] }] };
      const cases = [
        {
          kind: 'StatefulSet',
          replicas: 3,
          spec: { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 2 } } },
        },
        { kind: 'DaemonSet' },
        { kind: 'CronJob' },
        { kind: 'Deployment', replicas: 1, podSpec: init },
        { kind: 'Deployment', replicas: 0 },
      ] as const;
      const texts = await Promise.all(
        cases.map(async (options) => {
          const namespace = await made(named(one), options);
          const which = `${options.kind.toLowerCase()}/web`;
          const { text, running } = await world.deployer.deploy(
            world.target(two, namespace, { workloads: [which], takeFrom: ['kubectl'] }),
            work(),
          );
          return [text, ...running.map(({ name, reference, digest }) => [name, reference === named(two), digest === two.digest])];
        }),
      );
      const yes = [true, true];
      assert.deepEqual(texts, [
        ['set statefulset/web; 1 pod runs the digest', ['statefulset/web/web', ...yes]],
        ['set daemonset/web; 1 pod runs the digest', ['daemonset/web/web', ...yes]],
        ['set cronjob/web; no pod runs, so none proves it', ['cronjob/web/web', ...yes]],
        ['set deployment/web; 1 pod runs the digest', ['deployment/web/migrate', ...yes], ['deployment/web/web', ...yes]],
        ['set deployment/web; no pod runs, so none proves it', ['deployment/web/web', ...yes]],
      ]);
    });

    it('refuses what belongs to others, by their names, and what stands still; and changes nothing', async () => {
      const [one, two] = [await world.push('1.0'), await world.push('2.0')];
      const labels = (key: string) => ({ metadata: { labels: { [key]: 'shop' } } });
      const annotations = { metadata: { annotations: { 'meta.helm.sh/release-name': 'shop' } } };
      const refusals: readonly (readonly [WorkloadOptions & { takeFrom?: string[] }, RegExp])[] = [
        [
          { takeFrom: [] },
          /containers\[name="web"\]\.image belongs to the field manager kubectl: .*list kubectl in deploy\.kubernetes\.takeFrom/,
        ],
        [
          labels('argocd.argoproj.io/instance'),
          /belongs to Argo CD.*have the image changed in the repository by change.*watch of argocd/,
        ],
        [labels('kustomize.toolkit.fluxcd.io/name'), /belongs to Flux.*watch of flux/],
        [annotations, /belongs to Helm.*by change/],
        [
          { spec: { paused: true } },
          /deployment\/web in \S+ is paused.*kubectl rollout resume deployment\/web -n \S+, then retry/,
        ],
      ];
      await Promise.all(
        refusals.map(async ([{ takeFrom = ['kubectl'], ...options }, says]) => {
          const namespace = await cluster.namespace();
          await cluster.apply(namespace, workload(named(one), { replicas: 0, ...options }));
          const target = world.target(two, namespace, { workloads: ['deployment/web'], takeFrom });
          const acts = [() => world.deployer.deploy(target, work()), async () => world.deployer.foresee?.(target, work())];
          for (const act of acts)
            await assert.rejects(act, (error) => {
              assert.ok(error instanceof Refusal);
              assert.equal(error.type, 'DeployRefused');
              assert.match(error.message, says);
              return true;
            });
          const after = await world.field(namespace, 'deployment/web', '{.spec.template.spec.containers[0].image}');
          assert.equal(after, named(one));
        }),
      );
    });

    it('restarts what follows a tag that has moved, once, and pins what ran before when it goes back', async () => {
      const one = await world.push('dev', { name: 'team/moving' });
      const image = `${one.repository}:dev`;
      const namespace = await made(image, { replicas: 1, container: { imagePullPolicy: 'Always' } });
      const settings = { namespace: '*', image: 'tag' };
      const target = world.target(one, namespace, settings);
      const before = await world.deployer.running(target);
      assert.deepEqual(before, [{ name: `${namespace}/deployment/web/web`, reference: image, digest: one.digest }]);
      assert.equal((await world.deployer.deploy(target, work())).changed, false);

      const two = await world.push('dev', { name: 'team/moving' });
      const moved = world.target(two, namespace, settings, 'rollout:web:2');
      const { running, changed } = await world.deployer.deploy(moved, work());
      assert.deepEqual(
        [changed, running],
        [true, [{ name: `${namespace}/deployment/web/web`, reference: image, digest: two.digest }]],
      );
      const restartedAt = '{.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}';
      const restarted = await world.field(namespace, 'deployment/web', restartedAt);
      assert.match(restarted, /^20\d\d-/);
      await world.deployer.deploy(moved, work());
      assert.equal(await world.field(namespace, 'deployment/web', restartedAt), restarted);

      const back = await world.deployer.restore({ ...moved, rollout: 'rollback:web:2' }, before, work());
      assert.deepEqual(back.running, [
        { name: `${namespace}/deployment/web/web`, reference: `${image}@${one.digest}`, digest: one.digest },
      ]);
      // What was pinned to go back follows its tag again with the next push.
      const three = await world.push('dev', { name: 'team/moving' });
      const next = await world.deployer.deploy(world.target(three, namespace, settings, 'rollout:web:3'), work());
      assert.deepEqual(next.running, [{ name: `${namespace}/deployment/web/web`, reference: image, digest: three.digest }]);
    });

    it('takes what the node knows by an index of an earlier build for the same image; a tag that the node has otherwise, for another', async () => {
      const name = 'team/rebuilt';
      const content = { busybox: true, cmd: ['sleep', '3600'], env: { BUILD: `${Date.now()}` } };
      const plain = await pushIndex(cluster.registry, name, '1', [content]);
      const attested = await pushIndex(cluster.registry, name, '2', [content], { attestations: true });
      const image = (tag: string, digest: Digest): VerifiedImage =>
        verifiedOf({ repository: `${cluster.registry.host}/${name}` as Repository, tag: tag as Tag, digest });
      const [one, two] = [image('1', plain.digest), image('2', attested.digest)];
      const namespace = await made(named(one), { replicas: 1 });
      const settings = { workloads: ['deployment/web'], takeFrom: ['kubectl'] };
      // The node calls both by one of the two; of each, its index alone is known.
      for (const [index, each] of [two, one].entries()) {
        const target = world.target(each, namespace, settings, `rollout:web:${index}`);
        assert.equal((await world.deployer.deploy(target, work())).text, 'set deployment/web; 1 pod runs the digest');
        const [pod] = await world.pods(namespace);
        assert.equal(pod?.spec.containers[0]?.image, named(each));
      }

      const older = await world.push('moved', { name: 'team/stale' });
      const reference = `${older.repository}:moved`;
      const stale = await made(reference, { replicas: 1, container: { imagePullPolicy: 'IfNotPresent' } });
      const newer = await world.push('moved', { name: 'team/stale' });
      const byTag = world.target(newer, stale, { ...settings, pin: 'tag' });
      await assert.rejects(world.deployer.deploy(byTag, work()), (error) => {
        assert.ok(error instanceof Refusal);
        assert.equal(error.type, 'DeployRefused');
        assert.match(
          error.message,
          /found sha256:\S+: its node had another image of that name already: set imagePullPolicy: Always/,
        );
        return true;
      });
    });

    it('lets one pod go first, beside the others, which is gone with the rest of the deploy or with the rollback', async () => {
      const [one, two, bad] = [
        await world.push('1.0'),
        await world.push('2.0'),
        await world.push('bad', { cmd: ['sh', '-c', 'exit 1'] }),
      ];
      const namespace = await made(named(one));
      const settings = { workloads: ['deployment/web'], takeFrom: ['kubectl'], canary: 1 };
      const images = async () =>
        (await world.pods(namespace)).map(({ metadata, spec }) => [
          metadata.name.replace(/-[0-9a-f]{6,10}-\w{5}$/, ''),
          spec.containers[0]?.image,
        ]);
      const target = world.target(two, namespace, settings);
      const first = await world.deployer.deploy(target, work({ only: ['canary'] }));
      assert.deepEqual(first.running, [{ name: 'pod/web-landfall-canary/web', reference: named(two), digest: two.digest }]);
      assert.deepEqual(await images(), [
        ['web', named(one)],
        ['web', named(one)],
        ['web-landfall-canary', named(two)],
      ]);
      const rest = await world.deployer.deploy(target, work({ only: ['rest'] }));
      assert.deepEqual(
        rest.running.map(({ digest }) => digest),
        [two.digest],
      );
      assert.deepEqual(await images(), [
        ['web', named(two)],
        ['web', named(two)],
      ]);

      const badTarget = world.target(bad, namespace, settings, 'rollout:web:2');
      await assert.rejects(
        world.deployer.deploy(badTarget, work({ only: ['canary'] })),
        /the canary of deployment\/web will not come up.*CrashLoopBackOff/,
      );
      assert.equal((await images()).length, 3);
      await world.deployer.restore(badTarget, rest.running, work());
      assert.deepEqual(await images(), [
        ['web', named(two)],
        ['web', named(two)],
      ]);
    });
  });
}
