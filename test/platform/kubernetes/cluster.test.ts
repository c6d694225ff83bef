import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { networkInterfaces, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { cgroupTrees, removeLeft } from '../../../scripts/setup/leftovers.mjs';
import { findProcesses } from '../../../src/platform/processes/identity.ts';
import { type Cluster, startCluster } from '../../support/cluster.ts';
import { pushImage } from '../../support/images.ts';
import { eventually } from '../../support/wait.ts';

const folderOf = ({ kubeconfig }: Pick<Cluster, 'kubeconfig'>) => dirname(kubeconfig);

/** Two pods that can be reached at port 8080. */
const deployment = (image: string) => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'web' },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: 'web' } },
    template: {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'web', image }], terminationGracePeriodSeconds: 0 },
    },
  },
});

const server = { busybox: true, cmd: ['sh', '-c', 'echo it serves; echo well > /tmp/health; httpd -f -p 8080 -h /tmp'] };

/** Looks at what a cluster has of the machine, also when it has gone. */
async function watchTraces(cluster: Pick<Cluster, 'kubeconfig' | 'address'>) {
  const folder = folderOf(cluster);
  const [kubelet] = (await findProcesses(folder)).filter(({ command }) => /^\S*\/kubelet /.test(command));
  assert.ok(kubelet);
  // Those of the pods have the same.
  const namespace = await namespaceOf(String(kubelet.pid));
  assert.notEqual(namespace, await namespaceOf('self'));
  return async () => {
    const namespaces = await Promise.all((await readdir('/proc')).filter(Number).map(namespaceOf));
    return {
      processes: namespaces.filter((each) => each === namespace).length + (await findProcesses(folder)).length,
      interfaces: Object.values(networkInterfaces()).filter((all) => all?.some(({ address }) => address === cluster.address))
        .length,
      mounts: (await readFile('/proc/mounts', 'utf8')).split('\n').filter((line) => line.includes(folder)).length,
    };
  };
}

const nothing = { processes: 0, interfaces: 0, mounts: 0 };

const namespaceOf = (pid: string) => readlink(`/proc/${pid}/ns/pid`).catch(() => undefined);

/** The control groups of its pods, in each tree. */
const cgroupsOf = (cluster: Pick<Cluster, 'kubeconfig'>) =>
  cgroupTrees()
    .map((tree) => join(tree, basename(folderOf(cluster))))
    .filter((group) => existsSync(group));

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('a cluster of the tests', function () {
    this.timeout(120_000);
    let cluster: Cluster;
    let traces: Awaited<ReturnType<typeof watchTraces>>;

    before(async () => {
      cluster = await startCluster();
      traces = await watchTraces(cluster);
    });
    after(() => cluster?.stop());

    const fieldOfPods = async (namespace: string, field: string) => {
      const words = ['get', 'pods', '-n', namespace, '-o', `jsonpath={range .items[*]}${field}{"\\n"}{end}`];
      return (await cluster.kubectl(...words)).trim().split('\n');
    };

    it('runs what was pushed: pods have its digest, a log, and addresses for us and for each other, and find the API server', async () => {
      const namespace = await cluster.namespace();
      const digest = await pushImage(cluster.registry, 'web', '1', server);
      await cluster.apply(namespace, deployment(`${cluster.registry.host}/web:1`));
      await cluster.kubectl('rollout', 'status', 'deployment/web', '-n', namespace, '--timeout=4m');
      const ours = `${cluster.registry.host}/web@${digest}`;
      assert.deepEqual(await fieldOfPods(namespace, '{.status.containerStatuses[0].imageID}'), [ours, ours]);
      assert.equal(await cluster.kubectl('logs', '-n', namespace, 'deployment/web'), 'it serves\n');
      const [one, other] = await fieldOfPods(namespace, '{.status.podIP}');
      assert.equal(await (await fetch(`http://${one}:8080/health`)).text(), 'well\n');
      const inside = `wget -q -O - http://${other}:8080/health && nc -w 2 $KUBERNETES_SERVICE_HOST 443 < /dev/null && echo found`;
      const said = await cluster.kubectl('exec', '-n', namespace, 'deployment/web', '--', 'sh', '-c', inside);
      assert.equal(said, 'well\nfound\n');
    });

    it('says of a tag that is not there that it cannot be pulled', async () => {
      const namespace = await cluster.namespace();
      await cluster.apply(namespace, deployment(`${cluster.registry.host}/web:none`));
      const reason = '{.status.containerStatuses[0].state.waiting.reason}';
      await eventually('ErrImagePull', async () => (await fieldOfPods(namespace, reason)).includes('ErrImagePull'));
    });

    it('keeps what it has when the API server is killed and comes back', async () => {
      const namespace = await cluster.namespace();
      await cluster.stopApiServer();
      await assert.rejects(cluster.kubectl('get', 'namespace', namespace), /refused/);
      await cluster.startApiServer();
      assert.match(await cluster.kubectl('get', 'namespace', namespace), /Active/);
    });

    it('is gone with all that it had when who started it is killed, while another runs', async () => {
      const script = fileURLToPath(new URL('start-cluster.ts', import.meta.url));
      const child = spawn(process.execPath, [script, cluster.registry.host], { stdio: ['pipe', 'pipe', 'inherit'] });
      try {
        const [line] = await once(createInterface({ input: child.stdout }), 'line');
        const other = JSON.parse(line);
        const otherTraces = await watchTraces(other);
        child.kill('SIGKILL');
        await eventually('the kernel to end it', async () => isDeepStrictEqual(await otherTraces(), nothing));
        // As whoever starts one next does.
        removeLeft(tmpdir());
        assert.deepEqual([existsSync(folderOf(other)), cgroupsOf(other)], [false, []]);
      } finally {
        child.kill('SIGKILL');
      }
      assert.match(await cluster.kubectl('get', 'nodes'), / Ready /);
    });

    it('leaves no process, interface, mount or control group when it is stopped', async () => {
      assert.notEqual((await traces()).processes, 0);
      assert.equal((await traces()).interfaces, 1);
      assert.notDeepEqual(cgroupsOf(cluster), []);
      await cluster.stop();
      assert.deepEqual(await traces(), nothing);
      assert.deepEqual(cgroupsOf(cluster), []);
    });
  });
}
