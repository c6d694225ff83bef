/**
 * `npm run demo -- --kubernetes`: a real cluster of one node, and Landfall beside it. A push reaches the pods and is proven by their digests; one
 * that crashes there is rolled back; one to a tag that moves restarts what follows the tag.
 */
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { createTimeline } from '../../src/cli/timeline.ts';
import { rolloutId } from '../../src/contracts/start-options.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { followRollouts } from '../../src/operations/follow.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { type Cluster, startCluster } from '../../test/support/cluster.ts';
import { type ImageOptions, pushImage } from '../../test/support/images.ts';
import { workload } from '../../test/support/kubernetes-deploy.ts';
import { type DemoOptions, present, startUndoable, type Undo } from './present.ts';
import { type DemoRegistry, startDemoRegistry } from './registry.ts';
import { configurationHead, type DemoPlaces, startService, stopService } from './service.ts';

/** What the demo has running. */
interface DemoWorld {
  readonly registry: DemoRegistry;
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly folder: string;
  readonly client: Client;
  readonly stop: () => Promise<void>;
}

const deadlineMs = 180_000;

/** @returns the exit code: 0 only where all outcomes are as they should be */
export async function runKubernetesDemo(options: DemoOptions): Promise<number> {
  const { keep, print } = options;
  return await present(options, {
    start: () => startWorld(options),
    show: (world) => show(world, print),
    whereToLook({ cluster, namespace, folder }) {
      if (!keep) return;
      print(`Everything keeps running until Ctrl-C. Where to look:
  the cluster     kubectl --kubeconfig ${cluster.kubeconfig} get pods -n ${namespace}
  what happened   LANDFALL_CONFIG=${join(folder, 'landfall.yaml')} npx landfall list`);
    },
    stop: (world) => world.stop(),
  });
}

async function startWorld(options: DemoOptions): Promise<DemoWorld> {
  return await startUndoable((undo) => start(options, undo));
}

async function start({ root, env, print }: DemoOptions, undo: Undo): Promise<Omit<DemoWorld, 'stop'>> {
  const folder = await mkdtemp(join(tmpdir(), 'landfall-demo-'));
  undo.push(() => rm(folder, { recursive: true, force: true }));
  const token = randomBytes(24).toString('hex');
  const ports = { webhooks: await reservePort(), operators: await reservePort(), temporal: await reservePort() };
  print('  a registry that reports every push');
  const registry = await startDemoRegistry({ port: ports.webhooks, path: '/webhook/distribution', token }, env);
  undo.push(() => registry.stop());
  print('  a Kubernetes node: etcd, API server, controllers, scheduler, containerd, kubelet');
  const cluster = await startCluster({ registry: endpointOf(registry) });
  undo.push(() => cluster.stop());
  const namespace = await cluster.namespace();
  await deployByHand(registry, cluster, namespace);

  print('  Landfall, with its own Temporal server');
  await cp(join(root, 'test/support/trivy-db/db'), join(folder, 'trivy/db'), { recursive: true });
  await writeFile(join(folder, 'landfall.yaml'), configuration({ registry: registry.host, namespace, ...ports }));
  const service = await startService(root, folder, { ...env, DEMO_REGISTRY_TOKEN: token, KUBECONFIG: cluster.kubeconfig });
  undo.push(() => stopService(service, folder));
  const temporal = JSON.parse(await readFile(join(folder, 'data/temporal.json'), 'utf8'));
  const connection = await Connection.connect({ address: temporal.address });
  undo.push(() => connection.close());
  return { registry, cluster, namespace, folder, client: new Client({ connection, namespace: temporal.namespace }) };
}

const endpointOf = ({ host }: DemoRegistry) => ({ host, url: `http://${host}` });

/** What a person made by kubectl, before there was Landfall. */
async function deployByHand(registry: DemoRegistry, cluster: Cluster, namespace: string): Promise<void> {
  await pushImage(endpointOf(registry), 'demo/web', '1.0.0', web('1.0.0'));
  await pushImage(endpointOf(registry), 'demo/worker', 'dev', worker('first'));
  const always = { container: { name: 'web', imagePullPolicy: 'Always' } };
  await cluster.apply(
    namespace,
    workload(`${registry.host}/demo/web:1.0.0`, { name: 'web', replicas: 2 }),
    workload(`${registry.host}/demo/worker:dev`, { name: 'worker', replicas: 1, ...always }),
  );
  for (const name of ['web', 'worker'])
    await cluster.kubectl('rollout', 'status', `deployment/${name}`, '-n', namespace, '--timeout=60s');
}

const web = (version: string, before = ''): ImageOptions => ({
  busybox: true,
  files: { 'www/health': `well, ${version}\n` },
  cmd: ['sh', '-c', `${before}exec httpd -f -p 8080 -h /www`],
});
const worker = (version: string): ImageOptions => ({ busybox: true, cmd: ['sleep', '3600'], env: { VERSION: version } });
/** Well in its smoke test, and not in the cluster. */
const crash = 'test -z "$KUBERNETES_SERVICE_HOST" || { echo "fatal: no database in this cluster"; exit 1; }; ';

function configuration({ namespace, ...places }: DemoPlaces & { readonly namespace: string }): string {
  const { registry } = places;
  return `${configurationHead(places, '127.0.0.1')}defaults:
  scan: { failOn: critical }
  smoke: { timeout: 60s, stayUp: 2s }
  rollback: auto
services:
  - image: "${registry}/demo/web"
    tags: { semver: ">=1.0.0" }
    smoke: { http: { port: 8080, path: /health } }
    # The Deployment was made by kubectl, which owns its image so far.
    deploy: { kubernetes: { namespace: ${namespace}, workloads: [deployment/web], takeFrom: [kubectl] } }
    watch: { kubernetes: true, for: 5s, interval: 1s }
  - image: "${registry}/demo/worker"
    tags: [dev]
    deploy: { kubernetes: { namespace: ${namespace}, image: tag } }
`;
}

interface DemoPush {
  readonly name: 'web' | 'worker';
  readonly tag: string;
  readonly about: string;
  readonly image: ImageOptions;
  readonly ends: 'delivered' | 'rolled-back';
}

export const demoPushes: readonly DemoPush[] = [
  { name: 'web', tag: '2.0.0', about: 'a good one', image: web('2.0.0'), ends: 'delivered' },
  { name: 'web', tag: '3.0.0', about: 'one that crashes in the cluster', image: web('3.0.0', crash), ends: 'rolled-back' },
  {
    name: 'worker',
    tag: 'dev',
    about: 'another image of the tag that the Deployment follows',
    image: worker('second'),
    ends: 'delivered',
  },
];

/** @returns what was not as expected */
async function show(world: DemoWorld, print: (line: string) => void): Promise<string[]> {
  const problems: string[] = [];
  const good = new Map<string, string>();
  for (const push of demoPushes) {
    const { name, tag, about, image, ends } = push;
    print(`\nPushing ${world.registry.host}/demo/${name}:${tag} (${about}):`);
    const pushedAt = Date.now();
    const digest = await pushImage(endpointOf(world.registry), `demo/${name}`, tag, image);
    const rollout = rolloutId(name, { tag, digest } as RolloutState['image']);
    const [state] = await followRollouts(world.client, [rollout], { deadlineMs, seen: createTimeline(print) });
    const seconds = ((Date.now() - pushedAt) / 1000).toFixed(1);
    if (ends === 'delivered') good.set(name, digest);
    const running = await digestsOfPods(world, name);
    print(
      `  ${state?.status} ${seconds} s after the push; the pods of ${name} run ${running.map((each) => each.slice(0, 19)).join(', ')}`,
    );
    if (state?.status !== ends) problems.push(`${name}:${tag}: expected ${ends}, found ${state?.status}: ${state?.reason ?? ''}`);
    const wanted = good.get(name) ?? '';
    if (running.length === 0 || running.some((each) => each !== wanted))
      problems.push(`${name}:${tag}: expected every pod to run ${wanted}, found ${running.join(', ') || 'none'}`);
  }
  return problems;
}

async function digestsOfPods({ cluster, namespace }: DemoWorld, name: string): Promise<string[]> {
  const field = '{range .items[*]}{.metadata.deletionTimestamp}{.status.containerStatuses[0].imageID}{"\\n"}{end}';
  const listed = await cluster.kubectl('get', 'pods', '-n', namespace, '-l', `app=${name}`, '-o', `jsonpath=${field}`);
  // One that is about to go begins with its time.
  const lines = listed.split('\n').filter((line) => line !== '' && !/^\d{4}-/.test(line));
  return lines.map((line) => line.slice(line.indexOf('@') + 1));
}
