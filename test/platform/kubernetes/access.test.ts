import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parse, stringify } from 'yaml';
import { Refusal } from '../../../src/domain/failures.ts';
import { createKubernetesClients, type KubernetesClient } from '../../../src/platform/kubernetes/client.ts';
import { pods } from '../../../src/platform/kubernetes/objects.ts';
import { workloadResources } from '../../../src/platform/kubernetes/workloads.ts';
import { type ClusterAccess, sharedCluster } from '../../support/cluster.ts';
import { workload } from '../../support/kubernetes-deploy.ts';

interface TestKubeconfig {
  'current-context': string;
  clusters: { name: string; cluster: Record<string, unknown> }[];
  users: { name: string; user: Record<string, unknown> }[];
  contexts: { name: string; context: Record<string, unknown> }[];
}

const never = new AbortController().signal;

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('access to Kubernetes', function () {
    this.timeout(120_000);
    let cluster: ClusterAccess;
    let folder: string;
    let namespace: string;
    let admin: TestKubeconfig;
    let written = 0;

    before(async () => {
      cluster = await sharedCluster();
      namespace = await cluster.namespace();
      folder = await mkdtemp(join(tmpdir(), 'landfall-kubeconfig-'));
      admin = parse(await readFile(cluster.kubeconfig, 'utf8'));
    });
    after(async () => folder !== undefined && (await rm(folder, { recursive: true })));

    /** A kubeconfig of its own, with another user, or changed in other ways. */
    async function kubeconfig(
      user: Record<string, unknown>,
      change: (written: TestKubeconfig) => void = () => undefined,
    ): Promise<string> {
      const own: TestKubeconfig = structuredClone(admin);
      for (const each of own.users) each.user = user;
      change(own);
      written += 1;
      const path = join(folder, `kubeconfig-${written}`);
      await writeFile(path, stringify(own));
      return path;
    }
    const list = async (client: KubernetesClient) => await client.list({ resource: pods, namespace }, {}, never);
    const token = async () => {
      const { users } = admin;
      return String(users[0]?.user.token);
    };

    it('is by one connection, also for several that ask at once before there is one', async () => {
      const client = await createKubernetesClients({ KUBECONFIG: await kubeconfig({ token: await token() }) })(undefined);
      await Promise.all(Array.from({ length: 4 }, () => list(client)));
    });

    it('is by a token, a file with one that is replaced, or a plugin that is told what it needs and no secret of ours', async () => {
      const plugin = join(folder, 'plugin.sh');
      const script = `#!/bin/sh
        test -z "$OUR_SECRET" && test "$FROM_KUBECONFIG" = yes && test "$1" = login || exit 7
        case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*'"server":"https://'*) ;; *) exit 8;; esac
        printf '{"kind":"ExecCredential","status":{"token":"%s","expirationTimestamp":"2999-01-01T00:00:00Z"}}' "$(cat ${folder}/token)"`;
      await writeFile(plugin, script);
      await chmod(plugin, 0o755);
      await writeFile(join(folder, 'token'), await token());
      const exec = {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: './plugin.sh',
        args: ['login'],
        env: [{ name: 'FROM_KUBECONFIG', value: 'yes' }],
        provideClusterInfo: true,
        interactiveMode: 'Never',
      };
      for (const user of [{ token: await token() }, { tokenFile: 'token' }, { exec }]) {
        const path = await kubeconfig(user);
        const client = await createKubernetesClients({ ...process.env, KUBECONFIG: path, OUR_SECRET: 'x' })(undefined);
        assert.deepEqual(await list(client), []);
        if ('token' in user) continue;
        // What is replaced is read anew once it is refused.
        await writeFile(join(folder, 'token'), 'expired');
        const other = await createKubernetesClients({ ...process.env, KUBECONFIG: path })(undefined);
        await assert.rejects(list(other), (error) => {
          assert.ok(error instanceof Refusal);
          assert.equal(error.type, 'DeployRefused');
          assert.match(
            error.message,
            /was answered 401, .* the token has expired: renew the credentials of the kubeconfig, then retry/,
          );
          return true;
        });
        await writeFile(join(folder, 'token'), await token());
        assert.deepEqual(await list(other), []);
      }
    });

    it('is by the files of KUBECONFIG together, of which the first that names something counts', async () => {
      const one = await kubeconfig({ token: await token() }, (own) => {
        own.contexts = [];
        own['current-context'] = '';
      });
      const other = await kubeconfig({ token: 'wrong' }, (own) => {
        for (const { context } of own.contexts) context.namespace = 'shop';
        own.contexts.push({ name: 'gone', context: { cluster: 'nowhere', user: 'nobody' } });
      });
      const clients = createKubernetesClients({ KUBECONFIG: [one, join(folder, 'none'), other].join(delimiter) });
      const client = await clients(undefined);
      assert.deepEqual([client.context.namespace, await list(client)], ['shop', []]);
      assert.equal(await clients(undefined), client);
      const says = (pattern: RegExp) => (error: unknown) => {
        assert.ok(error instanceof Refusal);
        assert.match(error.message, pattern);
        return true;
      };
      await assert.rejects(clients('gone'), says(/^expected the cluster nowhere in \S+ and \S+, found /));
      await assert.rejects(clients('other'), says(/^expected the context other in .*, found \S+, gone$/));
      await assert.rejects(
        createKubernetesClients({ KUBECONFIG: join(folder, 'none') })(undefined),
        says(/^expected a kubeconfig, found none at \S+none/),
      );
      await writeFile(join(folder, 'broken'), 'clusters: 7');
      await assert.rejects(
        createKubernetesClients({ KUBECONFIG: join(folder, 'broken') })(undefined),
        says(/expected a kubeconfig at \S+broken, found something else: clusters: /),
      );
      const failing = await kubeconfig({
        exec: { apiVersion: 'client.authentication.k8s.io/v1', command: 'false', installHint: 'install it' },
      });
      await assert.rejects(
        createKubernetesClients({ ...process.env, KUBECONFIG: failing })(undefined).then(list),
        says(/^false, which the context \S+ names for credentials, failed: exit code 1; install it$/),
      );
    });

    it('says which right is missing, and verifies the certificate', async () => {
      await cluster.kubectl('create', 'serviceaccount', 'poor', '-n', namespace);
      const poor = (await cluster.kubectl('create', 'token', 'poor', '-n', namespace)).trim();
      const client = await createKubernetesClients({ KUBECONFIG: await kubeconfig({ token: poor }) })(undefined);
      await assert.rejects(list(client), (error) => {
        assert.ok(error instanceof Refusal);
        assert.match(
          error.message,
          /User "system:serviceaccount:\S+:poor" cannot list resource "pods".*: allow it by a Role and a RoleBinding, then retry$/,
        );
        return true;
      });
      const stranger = await kubeconfig({ token: poor }, (own) => {
        for (const { cluster } of own.clusters) {
          delete cluster['certificate-authority'];
          delete cluster['certificate-authority-data'];
        }
      });
      const distrusting = await createKubernetesClients({ KUBECONFIG: stranger, NODE_TLS_REJECT_UNAUTHORIZED: '0' })(undefined);
      await assert.rejects(list(distrusting), /did not answer: (?:self-signed certificate|unable to)/);
    });

    it('keeps its pace, and reads lists page by page', async () => {
      const names = Array.from({ length: 45 }, (_, index) => `web-${index}`);
      await cluster.apply(namespace, ...names.map((name) => workload('none', { name, replicas: 0 })));
      const client = await createKubernetesClients({ KUBECONFIG: cluster.kubeconfig })(undefined);
      const path = { resource: workloadResources.Deployment, namespace };
      assert.equal((await client.list(path, { limit: '20' }, never)).length, names.length);
      const beganAt = performance.now();
      await Promise.all(Array.from({ length: 80 }, () => client.get({ ...path, name: 'web-1' }, never)));
      const tookMs = performance.now() - beganAt;
      assert.ok(tookMs > 1_900, `83 requests took ${tookMs} ms`);
      assert.equal(client.requests, 83);
    });
  });
}
