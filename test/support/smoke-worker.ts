/**
 * A worker of its own process, to be killed: runs one smoke test, and says how it ended. Its one argument is JSON:
 * `{ image, smoke, rollout, run }`, and `kubeconfig` where the smoke test is in a cluster.
 */
import { createKubernetesClients } from '../../src/platform/kubernetes/client.ts';
import { ensureDocker } from './docker.ts';
import { noDocker, startSmoke } from './smoke.ts';

const { kubeconfig, ...input } = JSON.parse(process.argv[2] ?? '{}');
const inCluster = { docker: noDocker, dependencies: { clusters: createKubernetesClients({ KUBECONFIG: kubeconfig }) } };
const where = kubeconfig === undefined ? { docker: await ensureDocker() } : inCluster;
const { outcome } = startSmoke({ ...input, ...where });
console.log(JSON.stringify(await outcome));
