import assert from 'node:assert/strict';
import type { Digest } from '../../../src/domain/image-reference.ts';
import type { WorkloadObject } from '../../../src/platform/kubernetes/objects.ts';
import { runningDigest, statusesOf } from '../../../src/platform/kubernetes/pods.ts';
import { type Cluster, sharedCluster } from '../../support/cluster.ts';
import { pushImage, tag as tagAs } from '../../support/images.ts';
import { type KubernetesWorld, kubernetesWorld, type WorkloadOptions, workload } from '../../support/kubernetes-deploy.ts';
import { type InPlace, startInPlace } from '../../support/kuberollouttrigger.ts';

interface Seen {
  readonly generation: number;
  readonly made: readonly (string | undefined)[];
  readonly ran: readonly Digest[];
}

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('in place of kuberollouttrigger, by its variables alone', function () {
    this.timeout(180_000);
    let cluster: Pick<Cluster, 'kubectl' | 'apply' | 'namespace' | 'registry' | 'kubeconfig'>;
    let world: KubernetesWorld;
    let inPlace: InPlace;
    /** Two namespaces. */
    let one: string;
    let two: string;

    before(async () => {
      cluster = await sharedCluster();
      world = kubernetesWorld(cluster);
      [inPlace, one, two] = await Promise.all([
        startInPlace(cluster.registry, cluster.kubeconfig),
        cluster.namespace(),
        cluster.namespace(),
      ]);
    });
    after(() => inPlace?.stop());

    const service = 'test-org/myservice';
    /** One image by several tags. */
    const pushed = async (version: string, tags: readonly string[], { cmd = ['sleep', '3600'], name = service } = {}) => {
      const options = { busybox: true, cmd, env: { VERSION: version } };
      const [first, ...others] = tags;
      assert.ok(first !== undefined);
      const digest = await pushImage(cluster.registry, name, first, options);
      for (const other of others) await tagAs(cluster.registry, name, digest, other);
      return digest;
    };
    const image = (tag: string, name = service) => `${cluster.registry.host}/${name}:${tag}`;
    const made = async (namespace: string, kind: WorkloadOptions['kind'] & {}, name: string, podSpec: object) => {
      await cluster.apply(
        namespace,
        workload('', { kind, name, replicas: 1, podSpec: { terminationGracePeriodSeconds: 0, ...podSpec } }),
      );
      await cluster.kubectl('rollout', 'status', `${kind}/${name}`, '-n', namespace, '--timeout=4m');
    };
    const always = { imagePullPolicy: 'Always' };
    /** By name: how often somebody has changed it, and what its containers are made from and run. */
    const look = async () => {
      const found = await Promise.all(
        [one, two].map(async (namespace) => {
          const listed = await cluster.kubectl('get', 'deploy,statefulset,daemonset', '-n', namespace, '-o', 'json');
          const pods = await world.pods(namespace);
          return (JSON.parse(listed) as { items: WorkloadObject[] }).items.map(({ metadata, spec }): [string, Seen] => {
            const { initContainers = [], containers = [] } = spec.template?.spec ?? {};
            const ours = pods.filter(({ metadata: { labels } }) => labels?.app === metadata.name);
            const ran = new Set(ours.flatMap(statusesOf).flatMap((status) => runningDigest(status) ?? []));
            return [
              metadata.name,
              {
                generation: metadata.generation ?? 0,
                made: [...initContainers, ...containers].map(({ image }) => image),
                ran: [...ran],
              },
            ];
          });
        }),
      );
      return Object.fromEntries(found.flat());
    };

    it('says what it does, what it leaves out, and what is not needed', () => {
      assert.match(inPlace.output(), /in place of kuberollouttrigger: .*\(\/event\)/s);
      assert.match(inPlace.output(), /Nothing is scanned or smoke-tested: for that, copy the landfall\.yaml/);
      assert.match(inPlace.output(), /Not needed, and without effect: VALKEY_ADDR\./);
    });

    it('restarts what has this very tag, in all namespaces, once for several tags, and nothing else', async () => {
      const ran = await pushed('1', ['dev', 'latest', 'prod']);
      await pushed('other', ['dev'], { name: `${service}-extended` });
      const other = { name: 'other', image: image('dev', `${service}-extended`), ...always };
      const container = (tag: string) => ({ name: tag, image: image(tag), ...always });
      await Promise.all([
        made(one, 'Deployment', 'both', { containers: [container('dev'), container('latest')] }),
        made(one, 'Deployment', 'another-tag', { containers: [container('prod')] }),
        made(one, 'Deployment', 'longer-name', { containers: [other] }),
        made(two, 'Deployment', 'init', { initContainers: [{ ...container('dev'), command: ['true'] }], containers: [other] }),
        made(two, 'StatefulSet', 'state', { containers: [container('latest')] }),
        made(two, 'DaemonSet', 'agent', { containers: [container('dev')] }),
      ]);
      const before = await look();
      assert.deepEqual(before.both?.ran, [ran]);

      const digest = await pushed('2', ['dev', 'latest']);
      const { resolving } = await inPlace.tell('myservice', ['dev', 'latest']);
      assert.deepEqual(
        resolving.map(({ service }) => service),
        ['myservice@dev', 'myservice@latest'],
      );
      for (const { link } of resolving) assert.match(link ?? '', /^http:.*\/workflows\/resolve%3Amyservice%40/);
      assert.deepEqual(await inPlace.endsOf('myservice', digest, ['dev', 'latest']), ['delivered', 'delivered']);
      const after = await look();
      const restarted = Object.keys(after).filter((name) => after[name]?.generation === (before[name]?.generation ?? 0) + 1);
      assert.deepEqual(restarted.sort(), ['agent', 'both', 'init', 'state']);
      for (const name of ['both', 'state', 'agent'])
        assert.deepEqual(after[name], { ...after[name], made: before[name]?.made, ran: [digest] });
      for (const name of ['another-tag', 'longer-name']) assert.deepEqual(after[name], before[name]);
    });

    it('undoes what does not become ready, each tag pinned to what ran before, and follows the tags again with the next push', async () => {
      const before = await look();
      const [ran] = before.both?.ran ?? [];
      const bad = await pushed('bad', ['dev', 'latest'], { cmd: ['sh', '-c', 'exit 3'] });
      await inPlace.tell('myservice', ['dev', 'latest']);
      assert.deepEqual(await inPlace.endsOf('myservice', bad, ['dev', 'latest']), ['rolled-back', 'rolled-back']);
      const undone = await look();
      assert.deepEqual(undone.both?.made, [`${image('dev')}@${ran}`, `${image('latest')}@${ran}`]);
      for (const name of ['both', 'state', 'agent']) assert.deepEqual(undone[name]?.ran, [ran], name);

      const good = await pushed('3', ['dev', 'latest']);
      await inPlace.tell('myservice', ['dev', 'latest']);
      assert.deepEqual(await inPlace.endsOf('myservice', good, ['dev', 'latest']), ['delivered', 'delivered']);
      const after = await look();
      for (const name of ['both', 'state', 'agent'])
        assert.deepEqual(after[name], { ...after[name], made: before[name]?.made, ran: [good] });
    });
  });
}
