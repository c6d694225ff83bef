/**
 * A node of Kubernetes for the tests and the demo, see test/support/cluster.ts: Kubernetes itself in the version that kubernetes/go.mod pins,
 * built once into the cache folder; containerd and runc are those of the current engine.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOnPath } from '../../src/platform/tools.mjs';
import { engine } from './current-engine.mjs';
import { areBuilt, buildPrograms, programsFolder } from './go-programs.mjs';

/** @typedef {Record<string, string | undefined>} Environment */

/** The last of its kind whose kubelet still takes control groups of version 1 without being told to. */
export const kubernetesVersion = '1.33.13';

const [major = '', minor = ''] = kubernetesVersion.split('.');
const variable = 'k8s.io/component-base/version';
/** What it says of itself. */
const version = Object.freeze([
  `${variable}.gitVersion=v${kubernetesVersion}`,
  `${variable}.gitMajor=${major}`,
  `${variable}.gitMinor=${minor}`,
]);

/** @type {import('./go-programs.mjs').GoPrograms} */
export const kubernetes = Object.freeze({
  name: `kubernetes-${kubernetesVersion}`,
  module: fileURLToPath(new URL('kubernetes', import.meta.url)),
  programs: ['kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubelet', 'kubectl'].map((name) => ({
    name,
    from: `k8s.io/kubernetes/cmd/${name}`,
    version,
  })),
});

const runtime = engine.programs.filter(({ name }) => ['containerd', 'containerd-shim-runc-v2', 'runc'].includes(name));

/** @param {Environment} env */
export function hasKubernetes(env) {
  return areBuilt(programsFolder(kubernetes, env), kubernetes.programs) && hasRuntime(env);
}

/** @param {Environment} env */
export function hasRuntime(env) {
  return areBuilt(programsFolder(engine, env), runtime);
}

/**
 * @param {{ env: Environment, say: (line: string) => void }} context
 * @throws Error where it cannot be built, with what to do about it
 */
export async function buildKubernetes(context) {
  const who = 'the cluster of the tests';
  context.say(`building Kubernetes ${kubernetesVersion}, once; it takes about 10 minutes on two cores`);
  await buildPrograms(kubernetes, { ...context, who });
  await buildPrograms(engine, { ...context, who }, runtime);
}

/**
 * Where the programs of a node are.
 * @param {Environment} env
 * @returns {{ kubernetes: string, runtime: string, etcd: string, networkPlugins: string }} folders, but for `etcd`
 * @throws Error where one is missing, with what to do about it
 */
export function nodePrograms(env) {
  const etcd = findOnPath('etcd', env);
  const networkPlugins = findNetworkPlugins();
  if (etcd === undefined || networkPlugins === undefined || !hasKubernetes(env))
    throw new Error('expected the programs of a Kubernetes node, found them missing: run `node scripts/setup.mjs cluster-test`');
  return { kubernetes: programsFolder(kubernetes, env), runtime: programsFolder(engine, env), etcd, networkPlugins };
}

/** Debian's place, and that of everybody else. */
export function findNetworkPlugins() {
  return ['/usr/lib/cni', '/opt/cni/bin'].find((folder) => existsSync(join(folder, 'bridge')));
}
