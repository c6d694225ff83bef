import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ApplicationFailure, CancelledFailure } from '@temporalio/activity';
import { smokeCheck } from '../../../src/checks/smoke/index.ts';
import type { SmokePlan } from '../../../src/checks/smoke/plan.ts';
import { createProof } from '../../../src/checks/smoke/pod/proof.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { createKubernetesClients } from '../../../src/platform/kubernetes/client.ts';
import { type Cluster, startCluster } from '../../support/cluster.ts';
import { hostPlatform, type ImageOptions, pushImage, pushIndex } from '../../support/images.ts';
import { digestOf, planOf } from '../../support/plans.ts';
import { type Registry, type RegistryEndpoint, startRegistry } from '../../support/registry.ts';
import { checkContext, imageToSmoke, noDocker, smokePlan, startSmoke } from '../../support/smoke.ts';
import { endOf, type SmokeCluster, smokeCluster } from '../../support/smoke-pods.ts';
import { secretsOfRuns, smokeRunCases } from '../../support/smoke-runs.ts';

/** One image, and what is said of it. */
interface SmokeCase {
  readonly what: string;
  readonly image: () => Promise<VerifiedImage>;
  readonly settings?: Partial<SmokePlan>;
  /** Of a failure; absent: it passes. `Error`: it is tried again. */
  readonly failure?: string;
  readonly says: RegExp;
  /** Its last lines. */
  readonly log?: RegExp;
}

const shell = (script: string) => ['sh', '-c', script];
/** What a container tells of itself. */
const tells = [
  'id -u',
  'ls /var/run/secrets/kubernetes.io 2>&1',
  "grep -E '^(CapBnd|NoNewPrivs|Seccomp):' /proc/self/status",
  'cat /etc/resolv.conf',
  'echo token $TOKEN',
].join('; ');

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('a smoke test in Kubernetes', function () {
    this.timeout(120_000);
    let cluster: Cluster;
    let namespace: string;
    /** Asks for a password. */
    let closed: Registry;
    let smoke: SmokeCluster;

    before(async () => {
      [cluster, closed] = await Promise.all([startCluster(), startRegistry({ basicAuth: true })]);
      smoke = await smokeCluster(cluster);
    });
    beforeEach(async () => {
      namespace = await smoke.namespace();
    });
    after(async () => {
      await Promise.all([cluster?.stop(), closed?.stop()]);
    });

    async function image(name: string, options: ImageOptions = {}, registry: RegistryEndpoint = cluster.registry) {
      const made = { busybox: true, user: '1000', cmd: ['sleep', '60'], ...options };
      return imageToSmoke(`${registry.host}/${name}`, await pushImage(registry, name, 'latest', made));
    }
    const inPod = (changes: Partial<SmokePlan> = {}) => smokePlan({ kubernetes: { namespace }, ...changes });
    const dependencies = () => ({ clusters: createKubernetesClients({ KUBECONFIG: smoke.kubeconfig }) });
    const start = (verified: VerifiedImage, plan: SmokePlan, more: object = {}) =>
      startSmoke({ docker: noDocker, image: verified, smoke: plan, dependencies: dependencies(), ...more });

    const probed = { probe: { kind: 'http' as const, port: 8080, path: '/health' } };
    const serve = shell(`${tells}; sleep 1; exec httpd -f -p 8080 -h /www`);
    const cases: readonly SmokeCase[] = [
      {
        what: 'a server',
        image: () => image('server', { cmd: serve, files: { 'www/health': 'fine' } }),
        settings: { ...probed, env: { TOKEN: 'env:T0KEN' } },
        says: /^ready by http after [\d.]+ s in a pod on \S+$/,
        log: /^1000\nls: \S+: No such file or directory\nCapBnd:\t0{16}\nNoNewPrivs:\t1\nSeccomp:\t2\nnameserver 127.0.0.1\noptions (?:timeout:1|attempts:1| )+\ntoken \[masked\]$/,
      },
      {
        what: 'a port',
        image: () => image('port', { cmd: shell('exec httpd -f -p 8080 -h /') }),
        settings: { probe: { kind: 'tcp', port: 8080 }, network: 'full' },
        says: /^ready by tcp after [\d.]+ s in a pod on \S+, with the whole network$/,
      },
      {
        what: 'a command',
        image: () => image('command', { user: '0', cmd: ['false'] }),
        settings: {
          command: shell('echo $(id -u) $TOKEN; touch /tmp/ready; exec sleep 60'),
          env: { TOKEN: '$(HOME)' },
          probe: { kind: 'exec', command: ['test', '-f', '/tmp/ready'] },
          kubernetes: { namespace: '', user: 4711 },
        },
        says: /^ready by exec /,
        log: /^4711 \$\(HOME\)$/,
      },
      { what: 'one that stays up', image: () => image('stays'), settings: { readOnly: true }, says: /^ready by stayUp / },
      {
        what: 'a crash',
        image: () => image('crash', { cmd: shell('echo no database for $TOKEN; exit 3') }),
        settings: { env: { TOKEN: 'env:T0KEN' }, stayUpMs: 10_000 },
        failure: 'SmokeFailed',
        says: /^expected the container to stay up for 10 s, but it exited (?:at once|after [\d.]+ s) with code 3: its last log lines say why/,
        log: /^no database for \[masked\]$/,
      },
      {
        what: 'one that needs too much memory',
        image: () => image('hungry', { cmd: shell('x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done') }),
        settings: { stayUpMs: 50_000 },
        failure: 'SmokeFailed',
        says: /it ran out of memory .* \(exit code 137\): raise smoke\.memory, now 64 MiB/,
      },
      {
        what: 'one that is never ready',
        image: () => image('never', { cmd: shell('exec httpd -f -p 8080 -h /www'), files: { 'www/other': '' } }),
        settings: { ...probed, timeoutMs: 4_000 },
        failure: 'SmokeFailed',
        says: /ready within 4 s \(http port 8080 \/health\), but http port 8080 \/health was not answered \(last: HTTP probe failed with statuscode: 404\)/,
      },
      {
        what: 'a command that is not there',
        image: () => image('no-command', { cmd: ['serve'] }),
        failure: 'SmokeFailed',
        says: /its command cannot be run \(.*"serve": executable file not found.*correct the image or smoke\.command/s,
      },
      {
        what: 'an image that runs as root',
        image: () => image('root', { user: '' }),
        failure: 'SmokeFailed',
        says: /expected the image to run as a user that is not root.*image will run as root.*set smoke\.kubernetes\.user/s,
      },
      {
        what: 'what the namespace does not let in',
        image: () => image('root'),
        settings: { kubernetes: { namespace: '', user: 'image' } },
        failure: 'DeployRefused',
        says: /violates PodSecurity "restricted:latest": runAsNonRoot != true/,
      },
      {
        what: 'an image that is gone',
        image: async () => ({ ...(await image('gone')), digest: digestOf('gone') }),
        failure: 'Error',
        says: /^Kubernetes could not pull \S+: .*not found/s,
      },
      {
        what: 'a registry that does not let the cluster in',
        image: () => image('denied', { env: { ONLY: 'denied' } }, closed),
        failure: 'CredentialsRefused',
        says: /does not let Kubernetes pull .*name a Secret with the credentials of 127\.\S+ in smoke\.kubernetes\.imagePullSecrets/s,
      },
      {
        what: 'an image of such a registry, with its password',
        image: () => image('let-in', { env: { ONLY: 'let-in' } }, closed),
        settings: { kubernetes: { namespace: '', imagePullSecrets: ['pull'] } },
        says: /^ready by stayUp /,
      },
      {
        what: 'an image for which there is no node',
        image: async () => imageToSmoke(`${cluster.registry.host}/mainframe`, digestOf('mainframe'), ['linux/s390x']),
        failure: 'Error',
        says: /finds no node \(Unschedulable\): 0\/1 nodes are available.*it is tried again/,
      },
      ...smokeRunCases.map(({ options, ...rest }) => ({ ...rest, image: () => image(rest.what, options) })),
    ];

    it('says of every image what Docker would, in a namespace that enforces `restricted`, and leaves nothing', async () => {
      const login = [`--docker-server=${closed.host}`, '--docker-username=landfall', '--docker-password=let-me-in'];
      await cluster.kubectl('create', 'secret', 'docker-registry', 'pull', '-n', namespace, ...login);
      const ends = cases.map(async ({ what, image, settings, failure = 'passed', says, log = /^/ }) => {
        const plan = smokePlan({ ...settings, kubernetes: { ...settings?.kubernetes, namespace } });
        const running = start(await image(), plan, { dependencies: { ...dependencies(), secrets: secretsOfRuns } });
        const end = await endOf(running.outcome);
        assert.equal(end.type, failure, `${what}: ${end.text}`);
        assert.match(end.text, says, `${what}: ${end.text}`);
        assert.match(end.log ?? '', log, `${what} said: ${end.log}`);
        assert.deepEqual(running.warnings, [], what);
      });
      const failures = (await Promise.allSettled(ends)).flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
      if (failures.length > 0) throw new AggregateError(failures, failures.map(String).join('\n'));
      await smoke.nothingIsLeft(namespace, 'pull');
      const policy = await cluster.kubectl('get', 'networkpolicy', '-n', namespace, '-o', 'jsonpath={.items[*].spec}');
      const podSelector = { matchLabels: { 'landfall.dev/network': 'closed' } };
      assert.deepEqual(JSON.parse(policy), { podSelector, policyTypes: ['Ingress', 'Egress'] });
    });

    it('is tried again where a quota is used up; a namespace that is missing, or a pod that cannot be, asks for a person', async () => {
      await cluster.kubectl('create', 'quota', 'tight', '--hard=pods=0', '-n', namespace);
      const verified = await image('unmade');
      const asAdmin = { dependencies: { clusters: createKubernetesClients({ KUBECONFIG: cluster.kubeconfig }) } };
      const missing = smokePlan({ kubernetes: { namespace: 'nowhere' }, network: 'full' });
      const odd = inPod({ capabilities: ['NET_BIND_SERVICE'], kubernetes: { namespace, user: 3_000_000_000 } });
      const ends = await Promise.all([
        endOf(start(verified, inPod()).outcome),
        endOf(start(verified, missing, asAdmin).outcome),
        endOf(start(verified, odd).outcome),
      ]);
      assert.deepEqual(
        ends.map(({ type }) => type),
        ['Error', 'TargetNotFound', 'DeployRefused'],
      );
      assert.match(ends[0].text, /is full, and the smoke test is tried again: .*exceeded quota: tight/);
      assert.match(ends[1].text, /^expected the namespace nowhere of \S+ for smoke tests, found none: create it/);
      assert.match(ends[2].text, /^Kubernetes does not take the smoke test: .*runAsUser: Invalid value/);
    });

    it('asks for a person where it may not read what a run has printed', async () => {
      const withoutLogs = JSON.stringify([{ op: 'remove', path: '/rules/3' }]);
      await cluster.kubectl('patch', 'role', namespace, '-n', namespace, '--type=json', '-p', withoutLogs);
      const verified = await image('unread', { cmd: ['echo', '{}'] });
      const end = await endOf(start(verified, inPod({ command: [], expect: { json: {} } })).outcome);
      assert.equal(end.type, 'DeployRefused', end.text);
      assert.match(end.text, /^expected the output of pod \S+, but Kubernetes .* answered 403: allow get of pods\/log in /);
    });

    it('knows an image again that its node has by another index, and no other image', async () => {
      const byIndex = async (attestations: boolean) => {
        const images = [{ busybox: true, user: '1000', cmd: ['sleep', '61'] }];
        const { digest, children } = await pushIndex(cluster.registry, 'twice', undefined, images, { attestations });
        const verified = imageToSmoke(`${cluster.registry.host}/twice`, digest);
        return { ...verified, platforms: children.map((child) => ({ platform: hostPlatform(), digest: child })) };
      };
      const [plain, attested] = [await byIndex(false), await byIndex(true)];
      for (const each of [plain, attested]) assert.equal((await start(each, inPod()).outcome).kind, 'checked');
      const { registry } = checkContext(noDocker);
      const other = await image('twice', { env: { ONLY: 'another' } });
      const status = { imageID: `${other.repository}@${other.digest}`, name: '', image: '', ready: true, restartCount: 0 };
      await assert.rejects(createProof({ plan: planOf(), image: plain, registry })(status), { name: 'DigestMismatch' });
    });

    const patient = () => inPod({ stayUpMs: 50_000, timeoutMs: 50_000, env: { A: 'b' } });

    it('leaves nothing when it is cancelled', async () => {
      const running = start(await image('cancelled'), patient());
      await smoke.runningPod(namespace);
      running.environment.cancel();
      await assert.rejects(running.outcome, CancelledFailure);
      assert.deepEqual(running.warnings, []);
      await smoke.nothingIsLeft(namespace);
    });

    async function killWhileRunning(name: string) {
      const ids = { rollout: `rollout:${name}:${randomUUID()}`, run: randomUUID() };
      const verified = await image(name);
      const input = { image: verified, smoke: patient(), ...ids, kubeconfig: smoke.kubeconfig };
      const script = fileURLToPath(new URL('../../support/smoke-worker.ts', import.meta.url));
      const worker: ChildProcess = spawn(process.execPath, [script, JSON.stringify(input)], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const { metadata } = await smoke.runningPod(namespace);
      assert.equal(worker.exitCode, null, 'the worker ended before it was killed');
      const exited = once(worker, 'exit');
      worker.kill('SIGKILL');
      await exited;
      return { ...ids, image: verified, pod: metadata.name };
    }

    it('takes the place of what a killed worker left, when it is tried again', async () => {
      const { pod, image: verified, ...ids } = await killWhileRunning('killed');
      assert.equal((await start(verified, inPod(), { ...ids, attempt: 2 }).outcome).kind, 'checked');
      await smoke.nothingIsLeft(namespace);
      assert.match(pod, /^smoke-app-[0-9a-f]{16}$/);
    });

    it('has what a killed worker left swept, where it is not tried again: its own, and once it is no longer pending', async () => {
      const { pod, rollout } = await killWhileRunning('killed-last');
      const sweepOf = async (installation: string, isPending: boolean) => {
        const context = checkContext(noDocker, { ...dependencies(), workerId: installation });
        const { sweep } = await smokeCheck.create(context, undefined);
        const asked: string[] = [];
        const removed = await sweep?.([smokePlan(), inPod(), inPod()], async (...ids) => {
          asked.push(ids[0]);
          return isPending;
        });
        return { removed, asked };
      };
      assert.deepEqual(await sweepOf('another', false), { removed: [], asked: [] });
      assert.deepEqual(await sweepOf('worker-of-tests', true), { removed: [], asked: [rollout] });
      assert.deepEqual(await sweepOf('worker-of-tests', false), { removed: [pod], asked: [rollout] });
      await smoke.nothingIsLeft(namespace);
    });

    it('is tried again when the API server goes away in the middle, and leaves nothing of the first time', async () => {
      const ids = { rollout: `rollout:away:${randomUUID()}`, run: randomUUID() };
      const verified = await image('away');
      const first = start(verified, patient(), ids);
      await smoke.runningPod(namespace);
      const failed = assert.rejects(
        first.outcome,
        (error: Error) => !(error instanceof ApplicationFailure) && /did not answer/.test(error.message),
      );
      await cluster.stopApiServer();
      await failed;
      assert.match(first.warnings.join(), /could not remove pod \S+ after the check smoke; the sweep removes it/);
      await cluster.startApiServer();
      assert.equal((await start(verified, inPod(), { ...ids, attempt: 2 }).outcome).kind, 'checked');
      await smoke.nothingIsLeft(namespace);
    });
  });
}
