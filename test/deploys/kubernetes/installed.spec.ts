// Part of `npm run test:cluster`, apart from `npm test`, because it builds Landfall's own image.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { chart, readManifest, renderManifest } from '../../../scripts/kubernetes-manifest.mjs';
import { helmProgram } from '../../../scripts/setup/helm.mjs';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { nodeName } from '../../support/cluster/programs.ts';
import { type Cluster, startCluster } from '../../support/cluster.ts';
import { type ForwardProxy, startForwardProxy } from '../../support/forward-proxy.ts';
import { type KubernetesWorld, kubernetesWorld, workload } from '../../support/kubernetes-deploy.ts';
import { buildOwnImage, type OwnImage } from '../../support/landfall-image.ts';
import { startTcpGate } from '../../support/tcp-gate.ts';
import { startNamespace, testKey } from '../../support/temporal.ts';
import { eventually } from '../../support/wait.ts';

const hookToken = 'a-token-of-the-registry';
const restricted = { 'pod-security.kubernetes.io/enforce': 'restricted' };
const secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'landfall' },
  stringData: { 'hook-token': hookToken, 'landfall-key': testKey },
};
/** As a namespace demands that takes no other pods. */
const confined = {
  podSpec: { securityContext: { runAsUser: 1000, runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } } },
  container: { securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } },
};

describe('a Landfall in a cluster', function () {
  this.timeout(900_000);
  let folder: string;
  let helm: string;
  let own: OwnImage;
  let cluster: Cluster;
  let world: KubernetesWorld;
  let proxy: ForwardProxy;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-installed-'));
    helm = await helmProgram({ env: process.env, say: console.error });
    own = await buildOwnImage();
    cluster = await startCluster({ registry: own.registry });
    world = kubernetesWorld(cluster);
    // Loopback of a pod is its own, but images are named by that of the machine.
    proxy = await startForwardProxy((host) => host, cluster.address);
  });

  after(async () => {
    await cluster?.stop();
    await proxy?.stop();
    await own?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const runHelm = async (...words: string[]) => {
    const env = { PATH: process.env.PATH, HOME: folder, KUBECONFIG: cluster.kubeconfig };
    return (await promisify(execFile)(helm, words, { env })).stdout;
  };

  /** Of one service, whose Deployment is called web as well. */
  const configurationFor = (version: string, deploy: object = {}) => ({
    receivers: { distribution: { token: 'file:/run/secrets/landfall/hook-token' } },
    registries: { [cluster.registry.host]: { plainHttp: true } },
    search: 'off',
    services: [
      {
        ...{ name: 'web', image: `${cluster.registry.host}/team/web`, tags: [version], scan: 'off', smoke: 'off' },
        deploy: { kubernetes: { workloads: ['deployment/web'], takeFrom: ['kubectl'], ...deploy } },
        watch: { kubernetes: true, for: '2s' },
      },
    ],
  });

  /** As the registry would. */
  async function report({ digest, tag }: VerifiedImage, namespace: string, pod: string): Promise<void> {
    const address = await world.field(namespace, pod, '{.status.podIP}');
    const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
    const target = { mediaType, digest, repository: 'team/web', tag };
    const request = { host: cluster.registry.host };
    const events = [{ id: randomUUID(), timestamp: new Date().toISOString(), action: 'push', target, request }];
    const answer = await fetch(`http://${address}:8080/webhook/distribution`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/vnd.docker.distribution.events.v2+json', Authorization: `Bearer ${hookToken}` },
      body: JSON.stringify({ events }),
    });
    assert.equal(answer.status, 202, await answer.text());
  }

  /** The last of its rollouts, once it has none of these states. */
  async function untilNot(passing: readonly string[], namespace: string, pod: string) {
    const landfall = (...words: string[]) => cluster.kubectl('exec', '-n', namespace, pod, '--', 'landfall', ...words);
    const row = await eventually(
      `a rollout that is not ${passing.join(' or ')}`,
      async () => {
        const [found]: { rollout: string; status: string }[] = JSON.parse(await landfall('list', '--json'));
        return found === undefined || passing.includes(found.status) ? undefined : found;
      },
      90_000,
    );
    return { ...row, landfall, shown: await landfall('show', row.rollout) };
  }

  async function untilDelivered({ digest }: VerifiedImage, namespace: string, pod: string, shop: string): Promise<void> {
    const { status, shown } = await untilNot(['running', 'blocked'], namespace, pod);
    assert.equal(status, 'delivered', shown);
    const running = (await world.pods(shop)).filter(({ metadata }) => metadata.name.startsWith('web-'));
    const digests = running.flatMap(({ status }) => status?.containerStatuses ?? []).map(({ imageID }) => imageID.split('@')[1]);
    assert.deepEqual(new Set(digests), new Set([digest]));
  }

  it('has a chart without faults, and a manifest that is what the chart makes', async () => {
    assert.match(await runHelm('lint', '--strict', chart), /0 chart\(s\) failed/);
    const closed = ['--set', 'configuration=listen: {}'];
    await assert.rejects(runHelm('template', chart, ...closed), /expected listen: { operators: 0.0.0.0:8081 }/);
    const oidc = { issuer: 'https://id.example', clientId: 'landfall', clientSecret: 'env:OIDC' };
    const said = (login: object) =>
      ['--set-json', `configuration=${JSON.stringify(stringify({ temporal: { address: 'temporal:7233' }, login }))}`] as const;
    await assert.rejects(runHelm('template', chart, ...said({ oidc })), /expected login: { key: file:.*login-key }/);
    await runHelm('template', chart, ...said({ oidc, key: 'file:/run/secrets/landfall/login-key' }));
    assert.equal(readManifest().slice(readManifest().indexOf('\n') + 1), renderManifest(helm));
  });

  /** What docs/kubernetes.md has people do by hand. */
  async function editManifest(configuration: object): Promise<string> {
    const edited = parseAllDocuments(readManifest()).map((document) => {
      const object = document.toJS();
      if (object.kind === 'ConfigMap') {
        const { listen, data, artifacts } = parse(object.data['landfall.yaml']);
        object.data['landfall.yaml'] = stringify({ listen, data, artifacts, ...configuration });
      }
      const [container] = object.spec?.template?.spec.containers ?? [];
      if (container !== undefined) {
        container.image = `${cluster.registry.host}/landfall/landfall@${own.digest}`;
        container.env.push({ name: 'HTTP_PROXY', value: proxy.url });
      }
      return stringify(object);
    });
    const file = join(folder, 'landfall.yaml');
    await writeFile(file, edited.join('---\n'));
    return file;
  }

  /** What a cloud would make for the claim of a pod with a Temporal of its own. */
  async function provideVolume(namespace: string): Promise<void> {
    const path = join(dirname(cluster.kubeconfig), `volume-${namespace}`);
    await mkdir(path);
    const nodes = [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [nodeName] }] }];
    await cluster.apply('default', {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: namespace },
      spec: {
        capacity: { storage: '10Gi' },
        accessModes: ['ReadWriteOnce'],
        claimRef: { namespace, name: 'landfall-landfall-0' },
        local: { path },
        nodeAffinity: { required: { nodeSelectorTerms: nodes } },
      },
    });
  }

  it('rolls out a service from one pod with a volume, which keeps all of it, in a namespace that is restricted', async () => {
    await provideVolume('landfall');
    const [before, pushed] = [await world.push('1.0', { name: 'team/web' }), await world.push('2.0', { name: 'team/web' })];
    await cluster.kubectl('apply', '--filename', await editManifest(configurationFor('2.0')));
    await cluster.apply('landfall', secret, workload(`${before.repository}:1.0`, confined));
    await cluster.kubectl('rollout', 'status', 'statefulset/landfall', '-n', 'landfall', '--timeout=180s');
    await report(pushed, 'landfall', 'pod/landfall-0');
    await untilDelivered(pushed, 'landfall', 'landfall-0', 'landfall');
    await cluster.kubectl('delete', 'pod', 'landfall-0', '-n', 'landfall', '--timeout=90s');
    await cluster.kubectl('rollout', 'status', 'statefulset/landfall', '-n', 'landfall', '--timeout=180s');
    await untilDelivered(pushed, 'landfall', 'landfall-0', 'landfall');
  });

  it('rolls out a service of another namespace from an api and a worker, once they have the right that they say is missing', async () => {
    const [namespace, shop] = [await cluster.namespace(), await cluster.namespace()];
    await cluster.kubectl('label', 'namespace', namespace, ...Object.entries(restricted).map((label) => label.join('=')));
    const [before, pushed] = [await world.push('3.0', { name: 'team/web' }), await world.push('4.0', { name: 'team/web' })];
    await cluster.apply(namespace, secret);
    await cluster.apply(shop, workload(`${before.repository}:3.0`));
    const temporal = await startNamespace();
    const gate = await startTcpGate(`http://${temporal.address}`, cluster.address);
    try {
      const key = 'file:/run/secrets/landfall/landfall-key';
      const values = {
        image: { repository: `${cluster.registry.host}/landfall/landfall`, digest: own.digest },
        env: [{ name: 'HTTP_PROXY', value: proxy.url }],
        rbac: { namespaces: [shop], canary: true },
        configuration: stringify({
          ...configurationFor('4.0', { namespace: shop, canary: 1 }),
          temporal: { address: gate.host, namespace: temporal.namespace, key },
        }),
      };
      await install('ours', namespace, values);
      const budget = await world.field(namespace, 'pdb/ours-api', '{.status.disruptionsAllowed}');
      assert.equal(budget, '1');
      const change = (patch: object) =>
        cluster.kubectl('patch', 'role', 'ours-deploy', '-n', shop, '--type=json', '--patch', JSON.stringify([patch]));
      await change({ op: 'replace', path: '/rules/0/verbs', value: ['get', 'list'] });
      await report(pushed, namespace, await podOf(namespace, 'api'));
      const worker = await podOf(namespace, 'worker');
      const { status, rollout, landfall, shown } = await untilNot(['running'], namespace, worker);
      assert.equal(status, 'blocked', shown);
      assert.match(
        shown,
        /cannot patch resource "deployments" in API group "apps" in the namespace "test-\w+": allow it by a Role/,
      );
      await change({ op: 'replace', path: '/rules/0/verbs', value: ['get', 'list', 'patch'] });
      await landfall('retry', rollout);
      await untilDelivered(pushed, namespace, worker, shop);
      await runHelm('uninstall', 'ours', '--namespace', namespace, '--wait');
    } finally {
      await gate.shut();
      await temporal.stop();
    }
  });

  it('stands in for kuberollouttrigger by its variables alone, with rights in the whole cluster', async () => {
    const namespace = await cluster.namespace();
    await provideVolume(namespace);
    const variables = { GITHUB_OIDC_AUDIENCE: 'ours', GITHUB_ALLOWED_ORG: 'team', ALLOWED_IMAGE_PREFIX: 'ghcr.io/team/' };
    const values = {
      image: { repository: `${cluster.registry.host}/landfall/landfall`, digest: own.digest },
      env: Object.entries(variables).map(([name, value]) => ({ name, value })),
      rbac: { namespaces: ['*'] },
      configuration: '',
    };
    await install('landfall', namespace, values);
    assert.match(await cluster.kubectl('logs', '-n', namespace, 'landfall-0'), /in place of kuberollouttrigger/);
    const account = `system:serviceaccount:${namespace}:landfall`;
    const asked = ['auth', 'can-i', 'patch', 'deployments.apps', '--all-namespaces', '--as', account];
    assert.equal(await cluster.kubectl(...asked), 'yes\n');
  });

  async function install(release: string, namespace: string, values: object): Promise<void> {
    const file = join(folder, `${release}.yaml`);
    await writeFile(file, stringify(values));
    await runHelm('install', release, chart, '--namespace', namespace, '--values', file, '--wait', '--timeout', '3m');
  }

  async function podOf(namespace: string, part: string): Promise<string> {
    const label = `app.kubernetes.io/component=${part}`;
    return (await cluster.kubectl('get', 'pods', '-n', namespace, '-l', label, '-o', 'name')).split('\n')[0] ?? '';
  }
});
