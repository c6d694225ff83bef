import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { CancelledFailure } from '@temporalio/activity';
import Docker from 'dockerode';
import { smokeCheck } from '../../../src/checks/smoke/index.ts';
import { createSweep } from '../../../src/platform/docker/sweep.ts';
import { failureOf } from '../../support/activity.ts';
import { ensureDocker, expectEvent, imageIsGone, labelled, removeImagesOf } from '../../support/docker.ts';
import { startDockerProxy } from '../../support/docker-proxy.ts';
import { type Fault, startFaultyProxy } from '../../support/faulty-proxy.ts';
import { type ImageOptions, pushImage } from '../../support/images.ts';
import { importOwnImage } from '../../support/own-image.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { checkContext, imageToSmoke, keyOfTests, type RunningSmoke, smokePlan, startSmoke } from '../../support/smoke.ts';

describe('smoke, when something breaks', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
  });
  after(async () => {
    await removeImagesOf(docker, registry.host);
    await registry.stop();
  });

  async function image(name: string, options: ImageOptions = {}, host = registry.host) {
    // The same image of another test would be the same to Docker, also when it is removed there while it is pulled here.
    const own = { env: { ONLY: randomUUID() } };
    const digest = await pushImage(registry, name, 'latest', { busybox: true, cmd: ['sleep', '60'], ...own, ...options });
    return imageToSmoke(`${host}/${name}`, digest);
  }
  const patient = smokePlan({ stayUpMs: 50_000, timeoutMs: 50_000 });
  const quick = smokePlan({ stayUpMs: 50 });

  async function endsCancelled(running: RunningSmoke) {
    await assert.rejects(running.outcome, CancelledFailure);
    assert.deepEqual(await labelled(docker, running.rollout), []);
    assert.deepEqual(running.warnings, []);
  }

  describe('a cancelled test', () => {
    it('stops at once, and has cleaned up when it ends', async () => {
      const rollout = `rollout:cancelled:${randomUUID()}`;
      const verified = await image('cancelled', { env: { ONLY: 'cancelled' } });
      const started = await expectEvent(docker, rollout, 'start');
      const running = startSmoke({ docker, image: verified, smoke: patient, rollout });
      await started.seen;
      running.environment.cancel();
      await endsCancelled(running);
      await imageIsGone(docker, `${verified.repository}@${verified.digest}`);
    });

    it('makes nothing when it is cancelled while the container is being created', async () => {
      const proxy = await startDockerProxy(docker, async (line) => {
        if (line.includes('/containers/create')) running.environment.cancel();
      });
      const verified = await image('cancelled-early');
      const running = startSmoke({ docker: proxy.docker, image: verified, smoke: patient });
      try {
        await endsCancelled(running);
        assert.ok(!proxy.requests.some((line) => line.includes('/start')));
      } finally {
        await proxy.stop();
      }
    });

    it('ends a pull that hangs', async () => {
      const blobs = await hangingBlobs();
      try {
        const running = startSmoke({ docker, image: await image('slow', { env: { ONLY: 'slow' } }, blobs.host), smoke: patient });
        await blobs.hangs;
        running.environment.cancel();
        await endsCancelled(running);
      } finally {
        await blobs.stop();
      }
    });
  });

  /** A registry that sends no blob, until it is told to. */
  async function hangingBlobs() {
    let hang = true;
    let noticed = () => {};
    const hangs = new Promise<void>((resolve) => {
      noticed = resolve;
    });
    const many: Fault[] = Array.from({ length: 50 }, () => ({ kind: 'hang' }));
    const applies = ({ method, path }: { method: string; path: string }) => {
      const is = hang && method === 'GET' && path.includes('/blobs/');
      if (is) noticed();
      return is;
    };
    const proxy = await startFaultyProxy(registry.url, { faults: many, applies });
    return {
      host: proxy.host,
      hangs,
      heal: () => {
        hang = false;
      },
      stop: () => proxy.stop(),
    };
  }

  it('tells Temporal that it lives until it has cleaned up', async () => {
    const running = startSmoke({ docker, image: await image('alive'), smoke: smokePlan({ stayUpMs: 6_500 }) });
    await running.outcome;
    assert.ok(running.heartbeats() >= 2, `${running.heartbeats()}`);
  });

  describe('a killed worker', () => {
    function startWorker(input: object): ChildProcess {
      const script = fileURLToPath(new URL('../../support/smoke-worker.ts', import.meta.url));
      const stdio: ['ignore', 'ignore', 'inherit'] = ['ignore', 'ignore', 'inherit'];
      return spawn(process.execPath, [script, JSON.stringify(input)], { stdio });
    }
    async function kill(worker: ChildProcess) {
      assert.equal(worker.exitCode, null, 'the worker ended before it was killed');
      const exited = once(worker, 'exit');
      worker.kill('SIGKILL');
      await exited;
    }
    async function killWhileRunning(name: string, smoke = patient) {
      const ids = { rollout: `rollout:${name}:${randomUUID()}`, run: randomUUID() };
      const verified = await image(name);
      const started = await expectEvent(docker, ids.rollout, 'start');
      const worker = startWorker({ image: verified, smoke, ...ids });
      await started.seen;
      await kill(worker);
      assert.equal((await labelled(docker, ids.rollout)).length, 2);
      return { ...ids, image: verified };
    }

    it('leaves what the next attempt removes, and the next attempt passes', async () => {
      const { rollout, run, image: verified } = await killWhileRunning('killed');
      const next = startSmoke({ docker, image: verified, smoke: quick, rollout, run, attempt: 2 });
      assert.equal((await next.outcome).kind, 'checked');
      assert.deepEqual(await labelled(docker, rollout), []);
    });

    it('leaves what the sweep removes, where no attempt follows', async () => {
      const run = smokePlan({ timeoutMs: 50_000, command: [], expect: {} });
      const { rollout } = await killWhileRunning('killed-last', run);
      const quiet = { info() {}, warn() {} };
      const isPending = async (other: string) => other !== rollout;
      const sweep = createSweep({
        docker,
        workerId: 'worker-of-tests',
        ownershipKey: keyOfTests,
        isPending,
        now: () => new Date(),
        log: quiet,
      });
      assert.ok((await sweep.sweepOnce()).some((name) => name.includes('killed-last')));
      assert.deepEqual(await labelled(docker, rollout), []);
    });

    it('leaves nothing in the way when it dies during the pull', async () => {
      const blobs = await hangingBlobs();
      try {
        const ids = { rollout: `rollout:pull:${randomUUID()}`, run: randomUUID() };
        const verified = await image('killed-pull', { env: { ONLY: 'killed-pull' } }, blobs.host);
        const worker = startWorker({ image: verified, smoke: patient, ...ids });
        await blobs.hangs;
        await kill(worker);
        blobs.heal();
        const next = startSmoke({ docker, image: verified, smoke: quick, ...ids, attempt: 2 });
        assert.equal((await next.outcome).kind, 'checked');
        assert.deepEqual(await labelled(docker, ids.rollout), []);
      } finally {
        await blobs.stop();
      }
    });
  });

  it("sees an exit although Docker's events were cut", async () => {
    let connections = 0;
    let connectedAgain = () => {};
    const again = new Promise<void>((resolve) => {
      connectedAgain = resolve;
    });
    const proxy = await startDockerProxy(docker, async (line) => {
      if (line.includes('/events') && ++connections === 2) connectedAgain();
    });
    try {
      const endless = smokePlan({ stayUpMs: 600_000, timeoutMs: 600_000 });
      const rollout = `rollout:cut:${randomUUID()}`;
      const started = await expectEvent(docker, rollout, 'start');
      const running = startSmoke({ docker: proxy.docker, image: await image('cut'), smoke: endless, rollout });
      const failed = assert.rejects(running.outcome, { type: 'SmokeFailed', message: /with code 137/ });
      const id = await started.seen;
      assert.equal(proxy.cut('/events'), 1);
      await again;
      await docker.getContainer(id).kill();
      await failed;
      assert.deepEqual(await labelled(docker, rollout), []);
    } finally {
      await proxy.stop();
    }
  });

  it('pulls an image again that somebody removed before it was started', async () => {
    const verified = await image('vanished', { env: { ONLY: 'vanished' } });
    let removed = false;
    const proxy = await startDockerProxy(docker, async (line) => {
      if (removed || !line.includes('/containers/create')) return;
      removed = true;
      await docker.getImage(`${verified.repository}@${verified.digest}`).remove();
    });
    try {
      const { outcome } = startSmoke({ docker: proxy.docker, image: verified, smoke: quick });
      assert.equal((await outcome).kind, 'checked');
      assert.equal(removed, true);
      await imageIsGone(docker, `${verified.repository}@${verified.digest}`);
    } finally {
      await proxy.stop();
    }
  });

  it('is tried again when somebody removes the container', async () => {
    const rollout = `rollout:removed:${randomUUID()}`;
    const started = await expectEvent(docker, rollout, 'start');
    const running = startSmoke({ docker, image: await image('removed'), smoke: patient, rollout });
    const failed = assert.rejects(running.outcome, (error: Error) => {
      assert.ok(!('nonRetryable' in error));
      assert.match(error.message, /somebody removed the container while it was tested/);
      return true;
    });
    await docker.getContainer(await started.seen).remove({ force: true });
    await failed;
    assert.deepEqual(await labelled(docker, rollout), []);
  });

  it('says the first error, and warns of a clean-up that failed as well', async () => {
    const proxy = await startDockerProxy(docker, async (line) => {
      if (line.startsWith('DELETE') && line.includes('/containers/')) proxy.cut('DELETE');
    });
    const rollout = `rollout:unclean:${randomUUID()}`;
    try {
      const verified = await image('unclean', { cmd: ['false'] });
      const running = startSmoke({ docker: proxy.docker, image: verified, smoke: { ...quick, stayUpMs: 10_000 }, rollout });
      await assert.rejects(running.outcome, { type: 'SmokeFailed' });
      assert.match(running.warnings[0] ?? '', /could not remove container landfall-rollout-unclean/);
    } finally {
      await proxy.stop();
      const past = createSweep({
        docker,
        workerId: 'worker-of-tests',
        ownershipKey: keyOfTests,
        isPending: async (other) => other !== rollout,
        now: () => new Date(),
        log: { info() {}, warn() {} },
      });
      await past.sweepOnce();
      assert.deepEqual(await labelled(docker, rollout), []);
    }
  });

  it('says what to do where no Docker answers', async () => {
    const nowhere = new Docker({ socketPath: '/nowhere/docker.sock', host: undefined });
    const { outcome } = startSmoke({ docker: nowhere, image: await image('nowhere'), smoke: quick });
    await assert.rejects(
      outcome,
      /Docker does not answer \(.*\/nowhere\/docker\.sock\): start it, or say where it is with DOCKER_HOST/,
    );
  });

  describe('a registry that does not give the image', () => {
    const answers = [
      { status: 401, code: 'UNAUTHORIZED', outcome: { type: 'CredentialsRefused', message: /set registries\.127/ } },
      { status: 403, code: 'DENIED', outcome: { type: 'CredentialsRefused', message: /does not let Docker pull/ } },
      { status: 404, code: 'MANIFEST_UNKNOWN', outcome: { message: /Docker could not pull .*(manifest unknown|not found)/ } },
      { status: 500, code: 'UNKNOWN', outcome: { message: /Docker could not pull .*500/ } },
    ];
    for (const { status, code, outcome: expected } of answers) {
      const kind = 'type' in expected ? 'is an answer: no' : 'is asked again';
      it(`with ${status} ${kind}`, async () => {
        const proxy = await refusing(status, code);
        try {
          const running = startSmoke({ docker, image: await image(`denied-${status}`, {}, proxy.host), smoke: quick });
          await assert.rejects(running.outcome, expected);
          assert.deepEqual(await labelled(docker, running.rollout), []);
        } finally {
          await proxy.stop();
        }
      });
    }

    it('with 429 makes the rollout wait', async () => {
      const proxy = await refusing(429, 'TOOMANYREQUESTS');
      try {
        const now = new Date('2030-01-01T00:00:00Z');
        const dependencies = { now: () => now };
        const running = startSmoke({ docker, image: await image('many', {}, proxy.host), smoke: quick, dependencies });
        assert.deepEqual(await running.outcome, { kind: 'rate-limited', until: '2030-01-01T00:05:00.000Z' });
      } finally {
        await proxy.stop();
      }
    });

    function refusing(status: number, code: string) {
      const body = JSON.stringify({ errors: [{ code, message: code.toLowerCase().replace('_', ' ') }] });
      const faults: Fault[] = Array.from({ length: 20 }, () => ({
        kind: 'status',
        status,
        body,
        headers: { 'content-type': 'application/json' },
      }));
      return startFaultyProxy(registry.url, { faults, applies: ({ path }) => path.includes('/manifests/') });
    }
  });

  it('pulls with the credentials of the registry', async () => {
    const asking = await startRegistry({ basicAuth: true });
    try {
      const digest = await pushImage(asking, 'private', 'latest', {
        busybox: true,
        cmd: ['sleep', '60'],
        env: { ONLY: 'private' },
      });
      const verified = imageToSmoke(`${asking.host}/private`, digest);
      const asked: string[] = [];
      const credentials = async (host: string) => {
        asked.push(host);
        return { username: 'landfall', password: 'let-me-in' };
      };
      const { outcome } = startSmoke({ docker, image: verified, smoke: quick, dependencies: { credentials } });
      assert.equal((await outcome).kind, 'checked');
      assert.deepEqual(asked, [asking.host]);
      await assert.rejects(startSmoke({ docker, image: verified, smoke: quick }).outcome, { type: 'CredentialsRefused' });
    } finally {
      await asking.stop();
    }
  });

  describe('a worker that runs in a container itself', () => {
    let worker: Docker.Container;
    let workerAddress: string;
    before(async () => {
      const Image = await importOwnImage(docker);
      const listens = "require('node:net').createServer((socket) => socket.end()).listen(8081, '0.0.0.0')";
      const Cmd = [process.execPath, '-e', listens];
      worker = await docker.createContainer({ Image, Cmd, HostConfig: { NetworkMode: 'bridge' } });
      await worker.start();
      workerAddress = (await worker.inspect()).NetworkSettings.Networks.bridge?.IPAddress ?? assert.fail('it has no address');
    });
    after(async () => {
      const { Image } = await worker.inspect();
      await worker.remove({ force: true, v: true });
      await docker.getImage(Image).remove({ force: true });
    });

    const networksOf = async () => Object.keys((await worker.inspect()).NetworkSettings.Networks);
    const dependencies = () => ({ hostReach: 'network' as const, ownContainer: worker.id });
    const script = (address: string) =>
      `nc -w 1 ${address} 8081 </dev/null && echo reached the worker; sleep 0.7; exec httpd -f -p 8080 -h /www`;

    it('has a container beside the one under test ask for it, and joins no network where the image could meet it', async () => {
      const rollout = `rollout:apart:${randomUUID()}`;
      const verified = await image('apart', { cmd: ['sh', '-c', script(workerAddress)], files: { 'www/health': 'fine' } });
      const seen: { worker?: string[]; names?: string[] } = {};
      const proxy = await startDockerProxy(docker, async (line) => {
        // The log is read once the container is ready.
        if (line.includes('/logs')) Object.assign(seen, { worker: await networksOf(), names: await labelled(docker, rollout) });
      });
      try {
        const smoke = smokePlan({ probe: { kind: 'http', port: 8080, path: '/health' } });
        const started = await expectEvent(docker, rollout, 'start');
        const running = startSmoke({ docker: proxy.docker, image: verified, smoke, rollout, dependencies: dependencies() });
        const tested = await docker.getContainer(await started.seen).inspect();
        const outcome = await running.outcome;
        if (outcome.kind !== 'checked') assert.fail(outcome.kind);
        assert.match(outcome.text, /^ready by http /);
        assert.doesNotMatch(outcome.evidence[0]?.log ?? '', /reached the worker/);
        assert.deepEqual(tested.HostConfig.PortBindings ?? {}, {});
        assert.deepEqual(seen.worker, ['bridge']);
        const helper = seen.names?.find((name) => name.endsWith('-asks'));
        assert.equal(seen.names?.length, 3, `${seen.names}`);
        assert.ok(helper);
        assert.deepEqual(running.warnings, []);
        assert.deepEqual(await labelled(docker, rollout), []);
      } finally {
        await proxy.stop();
      }
    });

    it('asks a port in the same way, and says what came where nobody answers', async () => {
      const verified = await image('apart-tcp', { cmd: ['sh', '-c', 'sleep 0.7; exec httpd -f -p 8080 -h /'] });
      const tcp = smokePlan({ probe: { kind: 'tcp', port: 8080 } });
      const { outcome } = startSmoke({ docker, image: verified, smoke: tcp, dependencies: dependencies() });
      assert.match(JSON.stringify(await outcome), /ready by tcp/);
      const silent = smokePlan({ timeoutMs: 5_000, network: 'full', probe: { kind: 'http', port: 8081, path: '/' } });
      const { outcome: none } = startSmoke({ docker, image: verified, smoke: silent, dependencies: dependencies() });
      assert.match((await failureOf(none)).message, /http port 8081 \/ was not answered \(last: connect ECONNREFUSED/);
    });

    it('is refused at start where it does not know which container it is', async () => {
      await assert.rejects(
        async () => smokeCheck.create(checkContext(docker, { hostReach: 'network' }), undefined),
        /its own container's id/,
      );
    });
  });
});
