import { startCluster } from '../../support/cluster.ts';

/** Starts a cluster, says where, and stays, to be killed: `node start-cluster.ts REGISTRY`. */
const host = process.argv[2] ?? '';
const { kubeconfig, address } = await startCluster({ registry: { host, url: `http://${host}` } });
console.log(JSON.stringify({ kubeconfig, address }));
process.stdin.resume();
