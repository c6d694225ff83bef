import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nodePrograms } from '../../scripts/setup/kubernetes.mjs';
import { sparingGo } from '../../scripts/setup/machine.mjs';
import { type ClusterApi, connectApi } from './cluster/api.ts';
import { openPlace, type PlacedProgram } from './cluster/place.ts';
import { adminToken, commandOf, type NodeProgram, type NodeSetting, nodeName, writeNodeFiles } from './cluster/programs.ts';
import { pushImage } from './images.ts';
import { type RegistryEndpoint, startRegistry } from './registry.ts';
import { eventually } from './wait.ts';

/*
 * A real Kubernetes of one node: etcd, API server, controllers, scheduler, containerd and kubelet, as processes of their own. Pods have addresses
 * that the tests reach, and reach the API server by the address that every pod looks for. There is no DNS, no kube-proxy and no way out. What
 * crashes again and again is started again every 10 to 15 s: the kubelet's own pauses never get longer here.
 */

/** Two do not disturb each other. All of it is gone when this process ends, however that comes. */
export interface Cluster extends ClusterAccess {
  /** Pods can pull from any registry on 127.0.0.1; this one is there anyway, for what tests push. */
  readonly registry: RegistryEndpoint;
  /** Where everything listens that is the node's own; pods reach what tests let listen here. */
  readonly address: string;
  /** SIGKILL, as an outage would. */
  stopApiServer(): Promise<void>;
  /** Resolves once it is ready. */
  startApiServer(): Promise<void>;
  restartApiServer(): Promise<void>;
  stop(): Promise<void>;
}

export interface ClusterAccess {
  /** The path of an administrator's. */
  readonly kubeconfig: string;
  /** @returns what it printed @throws Error with what it said, if it failed */
  kubectl(...words: string[]): Promise<string>;
  /** By server-side apply. @param manifests each an object of the API */
  apply(namespace: string, ...manifests: readonly object[]): Promise<void>;
  /** A new one, in which pods can be made at once. @returns its name */
  namespace(): Promise<string>;
}

let shared: Promise<Cluster> | undefined;

const { endings } = createRequire(import.meta.url)('./endings.cjs') as { readonly endings: Set<() => Promise<void>> };

/** A cluster for all tests of a run of mocha, which in a lane is one file: what crashes in it would go on crashing beside everything else. */
export async function sharedCluster(): Promise<ClusterAccess & Pick<Cluster, 'registry' | 'address'>> {
  shared ??= startCluster();
  endings.add(stopShared);
  return await shared;
}

async function stopShared(): Promise<void> {
  const cluster = shared;
  shared = undefined;
  await (await cluster)?.stop();
}

/** @param options `registry`: one that somebody else starts and stops */
export async function startCluster(options: { readonly registry?: RegistryEndpoint } = {}): Promise<Cluster> {
  const programs = nodePrograms(process.env);
  const { registry, stop: stopRegistry } = await registryFor(options);
  const place = await openPlace().catch(async (error: unknown) => {
    await stopRegistry();
    throw error;
  });
  const stop = async (): Promise<void> => {
    await place.close();
    await stopRegistry();
  };
  try {
    const setting = { place, programs, pauseImage: await pushPause(registry) };
    const { ca } = await writeNodeFiles(setting);
    const { address } = place.network;
    const api = connectApi({ host: address, ca, token: adminToken });
    const running = await startNode(setting, api);
    return { ...accessTo(setting, api), ...apiServer(setting, api, running), registry, address, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function registryFor({ registry }: { readonly registry?: RegistryEndpoint }) {
  if (registry !== undefined) return { registry, stop: () => Promise.resolve() };
  const own = await startRegistry();
  return { registry: own, stop: () => own.stop() };
}

/** What holds the network of a pod: it does nothing. */
async function pushPause(registry: RegistryEndpoint): Promise<string> {
  await pushImage(registry, 'pause', '1', { busybox: true, entrypoint: ['/bin/busybox', 'sleep', '2147483647'] });
  return `${registry.host}/pause:1`;
}

type RunningNode = Map<NodeProgram, PlacedProgram>;

async function startNode(setting: NodeSetting, api: ClusterApi): Promise<RunningNode> {
  const running: RunningNode = new Map();
  const start = (name: NodeProgram) => startProgram(name, setting, running);
  await Promise.all((['etcd', 'containerd', 'kube-apiserver'] as const).map(start));
  await untilReady(running, api);
  // Whoever of them asks in vain tries again only after a while.
  await Promise.all((['kube-controller-manager', 'kube-scheduler', 'kubelet'] as const).map(start));
  await until('the node to be ready', running, async () => {
    const node = await api.read<ApiNode>(`/api/v1/nodes/${nodeName}`);
    const isReady = node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    return isReady && node?.spec?.taints === undefined;
  });
  return running;
}

/** What is read of it. */
interface ApiNode {
  readonly spec?: { readonly taints?: unknown };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

async function startProgram(name: NodeProgram, setting: NodeSetting, running: RunningNode): Promise<void> {
  const { runtime } = setting.programs;
  const env = { PATH: `${runtime}:${process.env.PATH}`, HOME: '/run', ...sparingGo };
  running.set(name, await setting.place.run(name, commandOf(name, setting), env));
}

const untilReady = (running: RunningNode, api: ClusterApi) =>
  until('the API server to be ready', running, async () => (await api.read('/readyz')) === 'ok');

/** Fails early where a program has ended. */
async function until(what: string, running: RunningNode, ask: () => Promise<boolean | undefined>): Promise<void> {
  await eventually(
    what,
    async () => {
      for (const [name, program] of running) {
        const failure = await program.failure();
        if (failure !== undefined) throw new Error(`${name} does not run: ${failure}`);
      }
      return await ask();
    },
    120_000,
  );
}

function apiServer(setting: NodeSetting, api: ClusterApi, running: RunningNode) {
  const stopApiServer = async (): Promise<void> => {
    await running.get('kube-apiserver')?.end('SIGKILL');
  };
  const startApiServer = async (): Promise<void> => {
    await startProgram('kube-apiserver', setting, running);
    await untilReady(running, api);
  };
  const restartApiServer = async (): Promise<void> => {
    await stopApiServer();
    await startApiServer();
  };
  return { stopApiServer, startApiServer, restartApiServer };
}

function accessTo({ place, programs }: NodeSetting, api: ClusterApi): ClusterAccess {
  const kubeconfig = join(place.folder, 'admin.kubeconfig');
  const always = ['--kubeconfig', kubeconfig, '--cache-dir', join(place.folder, 'kubectl')];
  const run = async (words: readonly string[], input = ''): Promise<string> => {
    const running = promisify(execFile)(join(programs.kubernetes, 'kubectl'), [...always, ...words]);
    running.child.stdin?.end(input);
    try {
      return (await running).stdout;
    } catch (error) {
      const said = error instanceof Error && 'stderr' in error && error.stderr ? String(error.stderr) : String(error);
      throw new Error(`kubectl ${words.join(' ')}: ${said}`, { cause: error });
    }
  };
  return {
    kubeconfig,
    kubectl: (...words) => run(words),
    async apply(namespace, ...manifests) {
      const list = { apiVersion: 'v1', kind: 'List', items: manifests };
      await run(['apply', '--namespace', namespace, '--server-side', '--filename', '-'], JSON.stringify(list));
    },
    async namespace() {
      const body = { metadata: { generateName: 'test-' } };
      const { metadata } = await api.create<{ metadata: { name: string } }>('/api/v1/namespaces', body);
      const own = `/api/v1/namespaces/${metadata.name}`;
      // What every pod has: its account, and the authority's certificate.
      for (const needed of [`${own}/serviceaccounts/default`, `${own}/configmaps/kube-root-ca.crt`])
        await eventually(needed, () => api.read<object>(needed));
      return metadata.name;
    },
  };
}
