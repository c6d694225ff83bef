import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { readManifest } from '../../../scripts/kubernetes-manifest.mjs';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import type { KubernetesClient } from '../../../src/platform/kubernetes/client.ts';
import type { KubernetesObject, Pod, Resource } from '../../../src/platform/kubernetes/objects.ts';
import { explainProblem } from '../../../src/platform/kubernetes/pods.ts';
import { type Cluster, sharedCluster } from '../../support/cluster.ts';
import { work } from '../../support/docker-deploy.ts';
import { type KubernetesWorld, kubernetesWorld, workload } from '../../support/kubernetes-deploy.ts';
import { eventually } from '../../support/wait.ts';

/** Of a Role. */
interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** What deploy/kubernetes/landfall.yaml lets Landfall do. */
function rulesOfManifest(): readonly Rule[] {
  const objects = parseAllDocuments(readManifest()).map((document): unknown => document.toJS());
  const isRole = (object: unknown): object is { rules: Rule[] } => Object(object).kind === 'Role';
  return objects.find(isRole)?.rules ?? [];
}

const accounts: Resource = { apiVersion: 'v1', plural: 'serviceaccounts' };
const never = new AbortController().signal;

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('the rights of a Landfall in a cluster', function () {
    this.timeout(120_000);
    const rules = rulesOfManifest();
    let cluster: Pick<Cluster, 'kubectl' | 'apply' | 'namespace' | 'registry' | 'kubeconfig'>;
    let world: KubernetesWorld;
    let folder: string;
    let namespace: string;
    let one: VerifiedImage;
    let two: VerifiedImage;

    before(async () => {
      cluster = await sharedCluster();
      world = kubernetesWorld(cluster);
      folder = await mkdtemp(join(tmpdir(), 'landfall-rights-'));
      namespace = await cluster.namespace();
      [one, two] = [await world.push('1.0'), await world.push('2.0')];
      const image = `${one.repository}:1.0`;
      await cluster.apply(namespace, workload(image, { replicas: 1 }), workload(image, { kind: 'CronJob', name: 'report' }));
      await cluster.kubectl('rollout', 'status', 'deployment/web', '-n', namespace, '--timeout=4m');
    });

    after(() => rm(folder, { recursive: true, force: true }));

    /** What an account with just these rights can do. */
    async function worldOf(name: string, allowed: readonly Rule[]): Promise<KubernetesWorld> {
      const group = 'rbac.authorization.k8s.io';
      await cluster.apply(
        namespace,
        { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } },
        { apiVersion: `${group}/v1`, kind: 'Role', metadata: { name }, rules: allowed },
        {
          apiVersion: `${group}/v1`,
          kind: 'RoleBinding',
          metadata: { name },
          roleRef: { apiGroup: group, kind: 'Role', name },
          subjects: [{ kind: 'ServiceAccount', name, namespace }],
        },
      );
      const admin: KubernetesClient = await world.clusters(undefined);
      const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
      const path = { resource: accounts, namespace, name, sub: 'token' };
      const { status } = await admin.create<KubernetesObject & { status: { token: string } }>(path, asked, 'tests', never);
      const config = JSON.parse(await readFile(cluster.kubeconfig, 'utf8'));
      config.users[0].user = { token: status.token };
      const kubeconfig = join(folder, name);
      await writeFile(kubeconfig, JSON.stringify(config));
      return kubernetesWorld({ ...cluster, kubeconfig });
    }

    const targetOf = (settings: Readonly<Record<string, unknown>>) =>
      world.target(two, namespace, { takeFrom: ['kubectl'], ...settings });

    it('are enough to deploy, to prove it and to go back', async () => {
      const { deployer } = await worldOf('all', rules);
      const target = targetOf({ workloads: ['deployment/web'] });
      const before = await eventually('the rights to be known', () => deployer.running(target).catch(() => undefined));
      assert.deepEqual((await deployer.deploy(target, work())).running[0]?.digest, two.digest);
      const restored = await deployer.restore({ ...target, rollout: 'rollback:web:1' }, before, work());
      assert.deepEqual(restored.running[0]?.digest, one.digest);
      for (const label of ['app=web', 'app=report']) await deployer.foresee?.(targetOf({ label }), work());
    });

    /** What takes each right, before anything is changed. */
    const needs = [
      { verb: 'get', resource: 'deployments', settings: { workloads: ['deployment/web'] } },
      { verb: 'patch', resource: 'deployments', settings: { workloads: ['deployment/web'] } },
      { verb: 'list', resource: 'deployments', settings: { label: 'app=web' } },
      { verb: 'get', resource: 'cronjobs', settings: { workloads: ['cronjob/report'] } },
      { verb: 'patch', resource: 'cronjobs', settings: { workloads: ['cronjob/report'] } },
      { verb: 'list', resource: 'cronjobs', settings: { label: 'app=report' } },
      { verb: 'list', resource: 'pods', settings: { workloads: ['deployment/web'] } },
    ] as const;

    for (const { verb, resource, settings } of needs)
      it(`are named where one is missing: ${verb} ${resource}`, async () => {
        const less = rules.flatMap((rule) => {
          const verbs = rule.resources.includes(resource) ? rule.verbs.filter((each) => each !== verb) : rule.verbs;
          return verbs.length === 0 ? [] : [{ ...rule, verbs }];
        });
        const { deployer } = await worldOf(`${verb}-${resource}`, less);
        const said = new RegExp(`cannot ${verb} resource "${resource}" in API group .*: allow it by a Role and a RoleBinding`);
        // A binding is known to the API server a moment after it is made: until then, everything is missing.
        await eventually(`a message such as ${said}`, async () => {
          const answer = await deployer.foresee?.(targetOf(settings), work()).then(String, String);
          return said.test(answer ?? '') || undefined;
        });
      });

    it('to read logs and events only explain: without them less is said', async () => {
      const crashing = { replicas: 1, name: 'crashing', container: { command: ['sh', '-c', 'echo no database; exit 1'] } };
      await cluster.apply(namespace, workload(`${one.repository}:1.0`, crashing));
      const pod = await eventually('the pod to end again and again', async () => {
        const found = (await world.pods(namespace)).find(({ metadata }) => metadata.name.startsWith('crashing-'));
        return found?.status?.containerStatuses?.some(({ restartCount }) => restartCount > 0) ? found : undefined;
      });
      const explain = async ({ clusters }: KubernetesWorld) =>
        await explainProblem(await clusters(undefined), { pod: pod as Pod, container: 'web' }, never);
      const told = await explain(await worldOf('all', rules));
      assert.match(told.log ?? '', /no database/);
      assert.match(told.events.join(), /BackOff/);
      const explaining = ['pods/log', 'events'];
      const silent = rules.filter(({ resources }) => !resources.some((resource) => explaining.includes(resource)));
      assert.deepEqual(await explain(await worldOf('silent', silent)), { events: [] });
    });

    it('are all of them shown here', () => {
      const given = rules.flatMap(({ resources, verbs }) => verbs.map((verb) => `${verb} ${resources[0]}`));
      const shown = needs.map(({ verb, resource }) => `${verb} ${resource}`);
      assert.deepEqual(given.sort(), [...shown, 'get pods/log', 'list events'].sort());
    });
  });
}
