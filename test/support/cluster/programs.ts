import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { nodePrograms } from '../../../scripts/setup/kubernetes.mjs';
import { createAuthority } from '../certificates.ts';
import type { Place } from './place.ts';

/*
 * The programs of a node, as they are started, and their files. All that they write themselves is below /run, which is the place's own, and gone
 * with it.
 */

export interface NodeSetting {
  readonly place: Place;
  readonly programs: ReturnType<typeof nodePrograms>;
  readonly pauseImage: string;
}

export type NodeProgram = 'etcd' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'containerd' | 'kubelet';

export const nodeName = 'node';
/** It keeps nobody out: whoever can read a test's files is the user that runs it. */
export const adminToken = 'the-token-of-the-admin';

/** By their tokens; the node's name is given by its user's. */
const accounts = {
  admin: { token: adminToken, user: 'admin', group: 'system:masters' },
  // With rights of its own it would make an account for each of its controllers.
  controllers: { token: 'the-token-of-the-controllers', user: 'system:kube-controller-manager', group: 'system:masters' },
  scheduler: { token: 'the-token-of-the-scheduler', user: 'system:kube-scheduler', group: '' },
  kubelet: { token: 'the-token-of-the-kubelet', user: `system:node:${nodeName}`, group: 'system:nodes' },
} as const;

/** What workloads need. Attached disks, certificates, cloud providers and the like are not for this node. */
const controllers = [
  'cronjob-controller',
  'daemonset-controller',
  'deployment-controller',
  'disruption-controller',
  'endpointslice-controller',
  'garbage-collector-controller',
  'horizontal-pod-autoscaler-controller',
  'job-controller',
  'namespace-controller',
  'node-lifecycle-controller',
  'persistentvolume-binder-controller',
  'pod-garbage-collector-controller',
  'replicaset-controller',
  'resourcequota-controller',
  'root-ca-certificate-publisher-controller',
  'serviceaccount-controller',
  'statefulset-controller',
  'taint-eviction-controller',
];

/** Writes what the programs read. @returns the authority's certificate, PEM */
export async function writeNodeFiles(setting: NodeSetting): Promise<{ readonly ca: string }> {
  const { folder, network } = setting.place;
  const ca = await writeCertificates(setting.place);
  const tokens = Object.values(accounts).map(({ token, user, group }) => [token, user, user, group].join());
  await writeFile(join(folder, 'tokens.csv'), `${tokens.join('\n')}\n`);
  for (const [name, { token }] of Object.entries(accounts))
    await writeFile(join(folder, `${name}.kubeconfig`), kubeconfig(`https://${network.address}`, ca, token));
  await writeFile(join(folder, 'containerd.toml'), containerdSettings(setting));
  await writeFile(join(folder, 'kubelet.json'), JSON.stringify(kubeletSettings(setting.place), undefined, 2));
  await writePodNetwork(setting);
  return { ca };
}

/** One certificate for all that listens here, by which the API server is known to the kubelet, too. */
async function writeCertificates({ folder, network }: Place): Promise<string> {
  const authority = await createAuthority(folder);
  const alternatives = `IP:${network.address},DNS:kubernetes.default.svc`;
  const { key, cert } = await authority.issue({ alternatives, extensions: ['extendedKeyUsage=clientAuth,serverAuth'] });
  await writeFile(join(folder, 'server.key'), key, { mode: 0o600 });
  await writeFile(join(folder, 'server.pem'), cert);
  return await readFile(authority.ca, 'utf8');
}

function kubeconfig(server: string, ca: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'tests', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } }],
    users: [{ name: 'tests', user: { token } }],
    contexts: [{ name: 'tests', context: { cluster: 'tests', user: 'tests' } }],
    'current-context': 'tests',
  });
}

/** `restrict_oom_score_adj`: not even root may lower it in every container. */
function containerdSettings({ place, programs, pauseImage }: NodeSetting): string {
  return `version = 3
root = "/run/containerd/root"
state = "/run/containerd/state"
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${pauseImage}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["${join(place.folder, 'plugins')}", "${programs.networkPlugins}"]
  conf_dir = "${join(place.folder, 'networks')}"
`;
}

/** The bridge of the pods is in the place's network, whose rules and names are nobody else's. */
async function writePodNetwork({ place, programs }: NodeSetting): Promise<void> {
  const [plugins, networks] = [join(place.folder, 'plugins'), join(place.folder, 'networks')];
  await Promise.all([mkdir(plugins), mkdir(networks)]);
  const bridge = join(plugins, 'bridge');
  await writeFile(bridge, `#!/bin/sh\nexec nsenter --target 1 --net ${join(programs.networkPlugins, 'bridge')}\n`);
  await chmod(bridge, 0o755);
  const { podRange, podAddresses } = place.network;
  const [rangeStart, rangeEnd] = podAddresses;
  const ranges = [[{ subnet: podRange, rangeStart, rangeEnd }]];
  const ipam = { type: 'host-local', dataDir: '/run/addresses', ranges, routes: [{ dst: '0.0.0.0/0' }] };
  const network = { cniVersion: '0.4.0', name: 'pods', plugins: [{ type: 'bridge', bridge: 'pods', isGateway: true, ipam }] };
  await writeFile(join(networks, 'pods.conflist'), JSON.stringify(network));
}

function kubeletSettings({ folder, network, cgroup }: Place): unknown {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: network.address,
    healthzPort: 0,
    tlsCertFile: join(folder, 'server.pem'),
    tlsPrivateKeyFile: join(folder, 'server.key'),
    authentication: {
      x509: { clientCAFile: join(folder, 'ca.pem') },
      anonymous: { enabled: false },
      webhook: { enabled: false },
    },
    authorization: { mode: 'AlwaysAllow' },
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    podLogsDir: '/run/pod-logs',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: cgroup,
    // There is no DNS, and this says so at once.
    clusterDNS: [network.address],
    // Settings and rules of the machine are left alone.
    makeIPTablesUtilChains: false,
    featureGates: { KubeletInUserNamespace: true, KubeletCrashLoopBackOffMax: true },
    oomScoreAdj: 0,
    failSwapOn: false,
    localStorageCapacityIsolation: false,
    evictionHard: { 'memory.available': '0%', 'nodefs.available': '0%', 'nodefs.inodesFree': '0%', 'imagefs.available': '0%' },
    imageGCHighThresholdPercent: 100,
    // Else twenty seconds, then forty, then eighty: a test would wait for nothing else.
    crashLoopBackOff: { maxContainerRestartPeriod: '2s' },
  };
}

/** Requests a second: as fast as the machine is. Else a hundred workloads would wait for the controllers' 20. */
const ownPace = ['--kube-api-qps=1000', '--kube-api-burst=1000'];

export function commandOf(name: NodeProgram, { place, programs }: NodeSetting): string[] {
  const { folder } = place;
  const own = (file: string) => join(folder, file);
  const kubernetes = (...words: string[]) => [join(programs.kubernetes, name), ...words];
  switch (name) {
    case 'etcd':
      return [programs.etcd, ...etcdWords(place)];
    case 'kube-apiserver':
      return kubernetes(...apiServerWords(place));
    case 'kube-controller-manager':
      return kubernetes(
        `--kubeconfig=${own('controllers.kubeconfig')}`,
        `--service-account-private-key-file=${own('server.key')}`,
        `--root-ca-file=${own('ca.pem')}`,
        `--controllers=${controllers.join()}`,
        '--leader-elect=false',
        '--secure-port=0',
        ...ownPace,
      );
    case 'kube-scheduler':
      return kubernetes(`--kubeconfig=${own('scheduler.kubeconfig')}`, '--leader-elect=false', '--secure-port=0', ...ownPace);
    case 'containerd':
      return [join(programs.runtime, name), '--config', own('containerd.toml')];
    case 'kubelet':
      return kubernetes(
        `--config=${own('kubelet.json')}`,
        `--kubeconfig=${own('kubelet.kubeconfig')}`,
        `--hostname-override=${nodeName}`,
        `--node-ip=${place.network.address}`,
        '--root-dir=/run/kubelet',
      );
  }
}

function etcdWords({ network: { address } }: Place): string[] {
  const [clients, peers] = [`http://${address}:2379`, `http://${address}:2380`];
  return [
    '--data-dir=/run/etcd',
    `--listen-client-urls=${clients}`,
    `--advertise-client-urls=${clients}`,
    `--listen-peer-urls=${peers}`,
    `--initial-advertise-peer-urls=${peers}`,
    `--initial-cluster=default=${peers}`,
  ];
}

/** The first address of the services' range is the API server's, by which pods look for it: so they find it without kube-proxy. */
function apiServerWords({ folder, network: { address, serviceRange } }: Place): string[] {
  const own = (file: string) => join(folder, file);
  return [
    `--etcd-servers=http://${address}:2379`,
    `--bind-address=${address}`,
    '--secure-port=443',
    `--advertise-address=${address}`,
    '--endpoint-reconciler-type=none',
    `--service-cluster-ip-range=${serviceRange}`,
    `--tls-cert-file=${own('server.pem')}`,
    `--tls-private-key-file=${own('server.key')}`,
    `--client-ca-file=${own('ca.pem')}`,
    `--token-auth-file=${own('tokens.csv')}`,
    `--service-account-key-file=${own('server.pem')}`,
    `--service-account-signing-key-file=${own('server.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    '--authorization-mode=Node,RBAC',
    `--kubelet-client-certificate=${own('server.pem')}`,
    `--kubelet-client-key=${own('server.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    '--allow-privileged=true',
  ];
}
