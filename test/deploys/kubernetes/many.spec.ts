import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKubernetesClients } from '../../../src/platform/kubernetes/client.ts';
import {
  type KubernetesObject,
  type Pod,
  pods,
  type Resource,
  type WorkloadObject,
} from '../../../src/platform/kubernetes/objects.ts';
import { isReady, runningDigest, statusesOf } from '../../../src/platform/kubernetes/pods.ts';
import { workloadResources } from '../../../src/platform/kubernetes/workloads.ts';
import { type Gateway, startGateway } from '../../support/cluster/gateway.ts';
import { type PlayedNodes, playedNode, startPlayedNodes } from '../../support/cluster/kwok.ts';
import { type Cluster, sharedCluster } from '../../support/cluster.ts';
import { pushImage } from '../../support/images.ts';
import { workload } from '../../support/kubernetes-deploy.ts';
import { type InPlace, startInPlace } from '../../support/kuberollouttrigger.ts';
import { eventually } from '../../support/wait.ts';

const namespaces = 50;
const ofEach = 10;
const all = namespaces * ofEach;

// Its own command (npm run test:cluster) and some minutes: the nodes and pods are played, by kwok.
describe(`${all} Deployments that one event restarts`, function () {
  this.timeout(900_000);
  let cluster: Pick<Cluster, 'kubectl' | 'apply' | 'namespace' | 'registry' | 'kubeconfig'>;
  let folder: string;
  let gateway: Gateway;
  let nodes: PlayedNodes;
  let inPlace: InPlace;

  before(async () => {
    cluster = await sharedCluster();
    folder = await mkdtemp(join(tmpdir(), 'landfall-many-'));
    gateway = await startGateway(cluster.kubeconfig, folder);
    nodes = await startPlayedNodes(cluster, folder);
    inPlace = await startInPlace(cluster.registry, gateway.kubeconfig);
  });
  after(async () => {
    await inPlace?.stop();
    await nodes?.stop();
    await gateway?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const push = (version: string) => pushImage(cluster.registry, 'test-org/many', 'dev', { env: { VERSION: version } });
  const signal = AbortSignal.timeout(900_000);
  const listed = async <Item extends KubernetesObject>(resource: Resource) =>
    await (await createKubernetesClients({ KUBECONFIG: cluster.kubeconfig })(undefined)).list<Item>({ resource }, {}, signal);

  it('are all proven, at no more than 20 requests a second', async () => {
    await nodes.pull(await push('1'));
    const image = `${cluster.registry.host}/test-org/many:dev`;
    const names = Array.from({ length: ofEach }, (_, at) => `app-${at}`);
    const podSpec = { ...playedNode, containers: [{ name: 'app', image, imagePullPolicy: 'Always' }] };
    for (let at = 0; at < namespaces; at += 1)
      await cluster.apply(await cluster.namespace(), ...names.map((name) => workload(image, { name, replicas: 1, podSpec })));
    await eventually('all pods to be ready', async () => (await listed<Pod>(pods)).filter(isReady).length >= all, 300_000);

    const digest = await push('2');
    await nodes.pull(digest);
    const began = performance.now();
    await inPlace.tell('many', ['dev']);
    const ends = await inPlace.endsOf('many', digest, ['dev'], 600_000);
    assert.deepEqual(ends, ['delivered'], inPlace.output());
    const seconds = (performance.now() - began) / 1_000;
    report(seconds);

    const deployments = (await listed<WorkloadObject>(workloadResources.Deployment)).filter(({ metadata }) =>
      metadata.name.startsWith('app-'),
    );
    assert.deepEqual([deployments.length, new Set(deployments.map(({ metadata }) => metadata.generation))], [all, new Set([2])]);
    const live = (await listed<Pod>(pods)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    assert.deepEqual(new Set(live.flatMap(statusesOf).map(runningDigest)), new Set([digest]));
    const { seen } = gateway;
    assert.ok(seen.length <= all + 200, `${seen.length} requests`);
    for (const [from, { at }] of seen.entries()) {
      const within = seen.slice(from).filter((other) => other.at - at < 10_000).length;
      // What was saved up at rest, what comes in that time, and what the clocks may differ by.
      assert.ok(within <= 40 + 10 * 20 + 10, `${within} requests within 10 s`);
    }
  });

  function report(seconds: number): void {
    const { seen } = gateway;
    const byMethod = Object.entries(Object.groupBy(seen, ({ method }) => method)).map(
      ([method, of = []]) => `${of.length} ${method}`,
    );
    const perSecond = Map.groupBy(seen, ({ at }) => Math.floor((at - (seen[0]?.at ?? 0)) / 1_000));
    const most = Math.max(...[...perSecond.values()].map(({ length }) => length));
    console.log(
      `      ${all} Deployments: ${seconds.toFixed(1)} s, ${seen.length} requests (${byMethod.join(', ')}), at most ${most} in a second`,
    );
  }
});
