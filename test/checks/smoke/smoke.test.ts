import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/activity';
import type Docker from 'dockerode';
import { createVerify } from '../../../src/activities/verify.ts';
import type { SmokePlan } from '../../../src/checks/smoke/plan.ts';
import type { Evidence } from '../../../src/domain/evidence.ts';
import type { CheckOutcome } from '../../../src/domain/outcomes.ts';
import { failureOf, runActivity } from '../../support/activity.ts';
import { ensureDocker, expectEvent, hasImage, imageIsGone, labelled, removeImagesOf } from '../../support/docker.ts';
import { startDockerProxy } from '../../support/docker-proxy.ts';
import { hostPlatform, type ImageOptions, pushImage, pushIndex } from '../../support/images.ts';
import { planOf } from '../../support/plans.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { registryClient, repositoryAt, tagOf } from '../../support/registry-client.ts';
import { pushRivals } from '../../support/rival-images.ts';
import { imageToSmoke, type SmokeAttempt, smokePlan, startSmoke } from '../../support/smoke.ts';

/** What was said of an image that passed. */
function summaryOf(outcome: CheckOutcome) {
  if (outcome.kind !== 'checked') assert.fail(JSON.stringify(outcome));
  const [, readyBy, seconds, platform] =
    /^ready by (\w+) after ([\d.]+) s on (\S+)$/.exec(outcome.text) ?? assert.fail(outcome.text);
  return { readyBy, readyAfterMs: Number(seconds) * 1000, platform, log: outcome.evidence[0]?.log };
}

/** `platform linux/amd64, exit code 3, out of memory` */
function factsOf(text: string) {
  const [, platform, exitCode, outOfMemory] =
    /^platform ([^,]+)(?:, exit code (\d+))?(, out of memory)?$/.exec(text) ?? assert.fail(text);
  return {
    platform,
    ...(exitCode !== undefined && { exitCode: Number(exitCode) }),
    ...(outOfMemory !== undefined && { outOfMemory: true }),
  };
}

describe('smoke', function () {
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

  async function image(name: string, options: ImageOptions) {
    const digest = await pushImage(registry, name, 'latest', { busybox: true, ...options });
    return imageToSmoke(`${registry.host}/${name}`, digest);
  }

  const shell = (script: string) => ['sh', '-c', script];

  /** Runs to the end, and checks that nothing is left whatever the end is. */
  async function run(name: string, options: ImageOptions, smoke: SmokePlan, rest: Partial<SmokeAttempt> = {}) {
    const { outcome, rollout, warnings } = startSmoke({ docker, image: await image(name, options), smoke, ...rest });
    try {
      return await outcome;
    } finally {
      assert.deepEqual(await labelled(docker, rollout), []);
      assert.deepEqual(warnings, []);
    }
  }

  async function passes(...args: Parameters<typeof run>): Promise<ReturnType<typeof summaryOf>> {
    const outcome = await run(...args);
    return summaryOf(outcome);
  }

  async function fails(
    ...args: Parameters<typeof run>
  ): Promise<{ message: string; failure: ReturnType<typeof factsOf> & { log: string } }> {
    const error = await run(...args).then(
      (outcome) => assert.fail(`expected a failure, found ${JSON.stringify(outcome)}`),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof ApplicationFailure, String(error));
    assert.equal(error.type, 'SmokeFailed', error.message);
    assert.equal(error.nonRetryable, true);
    const [[found]] = error.details as [[Evidence]];
    return { message: error.message, failure: { ...factsOf(found.text), log: found.log ?? '' } };
  }

  describe('says that a container is ready', () => {
    const page = { 'www/health': 'fine' };
    const serve = shell('sleep 0.7; exec httpd -f -p 8080 -h /www');

    it('when it stayed up, where it has neither probe nor HEALTHCHECK', async () => {
      const summary = await passes('stays', { cmd: shell('echo hello; exec sleep 60') }, smokePlan());
      assert.equal(summary.readyBy, 'stayUp');
      assert.equal(summary.platform, hostPlatform());
      assert.equal(summary.log, 'hello');
      assert.ok(summary.readyAfterMs >= 500 && summary.readyAfterMs < 5_000, `${summary.readyAfterMs}`);
    });

    it('by how long it stayed up itself, however long Docker took to start it', async () => {
      const proxy = await startDockerProxy(docker, async (line) => {
        if (/^POST \S+\/start /.test(line)) await pause(6_000);
      });
      try {
        const { message } = await fails('slow', { cmd: shell('sleep 0.2; exit 3') }, smokePlan({ stayUpMs: 5_000 }), {
          docker: proxy.docker,
        });
        assert.match(message, /it exited (at once|after [0-9.]+ s) with code 3/);
      } finally {
        await proxy.stop();
      }
    });

    it('when its HTTP path answers', async () => {
      const summary = await passes(
        'http',
        { cmd: serve, files: page },
        smokePlan({ probe: { kind: 'http', port: 8080, path: '/health' } }),
      );
      assert.equal(summary.readyBy, 'http');
      assert.ok(summary.readyAfterMs >= 700, `${summary.readyAfterMs}`);
    });

    it('when its TCP port answers, and not when only the proxy of Docker does', async () => {
      const summary = await passes('tcp', { cmd: serve, files: page }, smokePlan({ probe: { kind: 'tcp', port: 8080 } }));
      assert.equal(summary.readyBy, 'tcp');
      assert.ok(summary.readyAfterMs >= 700, `${summary.readyAfterMs}`);
    });

    it('when a command in it exits 0', async () => {
      const cmd = shell('sleep 0.7; touch /tmp/ready; exec sleep 60');
      const summary = await passes(
        'exec',
        { cmd },
        smokePlan({ probe: { kind: 'exec', command: ['test', '-f', '/tmp/ready'] } }),
      );
      assert.equal(summary.readyBy, 'exec');
      assert.ok(summary.readyAfterMs >= 700, `${summary.readyAfterMs}`);
    });

    it('when its HEALTHCHECK is healthy', async () => {
      const healthcheck = { test: ['CMD', 'test', '-f', '/tmp/ready'], intervalMs: 400 };
      const cmd = shell('sleep 0.6; touch /tmp/ready; exec sleep 60');
      const summary = await passes('healthy', { cmd, healthcheck }, smokePlan({ stayUpMs: 1 }));
      assert.equal(summary.readyBy, 'healthcheck');
    });

    it('when it is of the platform of the host in an index of several', async () => {
      const other = hostPlatform() === 'linux/amd64' ? 'linux/arm64' : 'linux/amd64';
      const cmd = ['sleep', '60'];
      const platforms = [other, hostPlatform()];
      const images = platforms.map((platform) => ({ busybox: true, cmd, platform }));
      const { digest, children } = await pushIndex(registry, 'multi', 'latest', images);
      const ofPlatforms = platforms.map((platform, index) => ({ platform, digest: children[index] ?? digest }));
      const verified = { ...imageToSmoke(`${registry.host}/multi`, digest), platforms: ofPlatforms };
      const outcome = await startSmoke({ docker, image: verified, smoke: smokePlan({ stayUpMs: 50 }) }).outcome;
      assert.equal(summaryOf(outcome).platform, hostPlatform());
    });
  });

  it('starts nothing that is not what was scanned, whatever Docker chooses from the index', async () => {
    const { digest, platforms } = await pushRivals(registry, 'rivals', { busybox: true, cmd: ['sleep', '60'] });
    const verified = { ...imageToSmoke(`${registry.host}/rivals`, digest), platforms };
    const { outcome, rollout } = startSmoke({ docker, image: verified, smoke: smokePlan({ stayUpMs: 50 }) });
    const failure = await failureOf(outcome);
    assert.deepEqual([failure.type, failure.nonRetryable], ['PlatformMissing', true]);
    assert.match(failure.message, /expected Docker to run one of the images .* that were scanned .* so nothing is started/);
    assert.deepEqual(await labelled(docker, rollout), []);
    await imageIsGone(docker, `${registry.host}/rivals@${digest}`);
  });

  it('runs the scanned image of a host whose platform is meant, and no other', async () => {
    const other = hostPlatform() === 'linux/amd64' ? 'linux/arm64' : 'linux/amd64';
    const cmd = ['sleep', '60'];
    const { digest } = await pushIndex(registry, 'meant', 'latest', [
      { busybox: true, cmd, platform: other },
      { busybox: true, cmd },
    ]);
    const repository = repositoryAt(registry, 'meant');
    const { verify } = createVerify({ registry: registryClient() });
    const smokeOf = async (...meant: string[]) => {
      const plan = planOf({ repository, platforms: meant });
      const verified = await runActivity(verify, { plan, image: { repository, tag: tagOf('latest'), digest } });
      assert.ok(verified.kind === 'verified');
      return startSmoke({ docker, image: verified.image, smoke: smokePlan({ stayUpMs: 50 }), platforms: meant }).outcome;
    };
    assert.equal((await smokeOf(hostPlatform())).kind, 'checked');
    const failure = await failureOf(smokeOf(other));
    assert.equal(failure.type, 'PlatformMissing');
    assert.match(failure.message, /add the platform of this host to platforms of the service/);
  });

  describe('says that a container failed', () => {
    it('at once when it exits, with its exit code and the last 50 lines of both streams', async () => {
      const script = 'i=0; while [ $i -lt 70 ]; do echo "line $i"; i=$((i+1)); done; sleep 0.2; echo "no database" >&2; exit 3';
      const startedAt = performance.now();
      const { message, failure } = await fails(
        'exits',
        { cmd: shell(script) },
        smokePlan({ stayUpMs: 30_000, timeoutMs: 40_000 }),
      );
      assert.ok(performance.now() - startedAt < 25_000);
      assert.match(message, /expected the container to stay up for 30 s, but it exited (at once|after [0-9.]+ s) with code 3/);
      const { log, ...rest } = failure;
      assert.deepEqual(rest, { platform: hostPlatform(), exitCode: 3 });
      const lines = log.split('\n');
      assert.equal(lines.length, 50);
      assert.ok(lines.includes('no database'));
      assert.ok(lines.includes('line 69'));
      assert.ok(!lines.includes('line 10'));
    });

    it('when it exits with 0 before it was ready', async () => {
      const { message, failure } = await fails('done', { cmd: ['true'] }, smokePlan({ stayUpMs: 10_000 }));
      assert.match(message, /with code 0: a service has to keep running; set smoke.command/);
      assert.equal(failure.exitCode, 0);
    });

    it('when it turns unhealthy, with what the HEALTHCHECK said', async () => {
      const healthcheck = { test: ['CMD-SHELL', 'echo queue is full; exit 1'], intervalMs: 200, retries: 2 };
      const { message, failure } = await fails('unhealthy', { cmd: ['sleep', '60'], healthcheck }, smokePlan());
      assert.match(message, /its HEALTHCHECK turned unhealthy after .* \(it said: queue is full\)/);
      assert.equal(failure.exitCode, undefined);
    });

    it('when it is not ready in time, with what the probe found last', async () => {
      const cmd = ['httpd', '-f', '-p', '8080', '-h', '/www'];
      const smoke = smokePlan({ timeoutMs: 1_200, probe: { kind: 'http', port: 8080, path: '/nowhere' } });
      const { message, failure } = await fails('late', { cmd, files: { 'www/health': 'fine' } }, smoke);
      assert.match(message, /ready within 1.2 s \(http port 8080 \/nowhere\), but .* \(last: answered 404\)/);
      assert.equal(failure.exitCode, undefined);
    });

    it('when the command of its probe never ends', async () => {
      const smoke = smokePlan({ timeoutMs: 800, probe: { kind: 'exec', command: ['sleep', '60'] } });
      const { message } = await fails('stuck', { cmd: ['sleep', '60'] }, smoke);
      assert.match(message, /exec sleep 60 was not answered \(last: no answer\)/);
    });

    it('when it runs out of memory, naming the setting', async () => {
      const script = 'x=0123456789abcdef; while true; do x="$x$x"; done';
      // It takes a moment to fill its memory, and longer on a busy machine.
      const smoke = smokePlan({ memoryBytes: 16 * 1024 * 1024, stayUpMs: 10_000 });
      const { message, failure } = await fails('memory', { cmd: shell(script) }, smoke);
      assert.match(message, /ran out of memory .*raise smoke.memory, now 16 MiB/);
      assert.equal(failure.outOfMemory, true);
    });

    it('when it needs more processes than it may have', async () => {
      const script = 'i=0; while [ $i -lt 20 ]; do sleep 30 & i=$((i+1)); done; echo all started; exec sleep 60';
      const { failure } = await fails('pids', { cmd: shell(script) }, smokePlan({ pids: 8 }));
      assert.match(failure.log, /fork/);
      assert.doesNotMatch(failure.log, /all started/);
    });

    it('when its command is not there, which is no trouble of Docker', async () => {
      const { message, failure } = await fails('nothing', { cmd: ['/bin/nothing'] }, smokePlan());
      assert.match(message, /its command cannot be run .*\/bin\/nothing.*: correct the image or smoke.command/);
      assert.equal(failure.exitCode, 127);
    });
  });

  describe('lets a container do no more than the plan says', () => {
    const chown = shell('busybox chown 1000:1000 /tmp && exec sleep 60');

    it('names smoke.capabilities when it fails for want of one', async () => {
      const { message } = await fails('chown', { cmd: chown }, smokePlan());
      assert.match(message, /has no Linux capabilities: if it needs one, add it to smoke.capabilities \(here perhaps CHOWN\)/);
    });

    it('gives it the capabilities that are configured', async () => {
      const summary = await passes('chown', { cmd: chown }, smokePlan({ capabilities: ['CHOWN'] }));
      assert.equal(summary.readyBy, 'stayUp');
    });

    it('bounds memory without swap, CPUs to what the host has, processes and log, and mounts nothing of the host', async () => {
      const verified = await image('bounded', { cmd: ['sleep', '60'] });
      const smoke = smokePlan({ cpus: 512, probe: { kind: 'http', port: 80, path: '/' } });
      const rollout = 'rollout:bounded:1.0:abc';
      const started = await expectEvent(docker, rollout, 'start');
      const running = startSmoke({ docker, image: verified, smoke, rollout });
      const inspected = await docker.getContainer(await started.seen).inspect();
      running.environment.cancel();
      await assert.rejects(running.outcome);
      const { HostConfig: host, Config: config, Mounts } = inspected;
      assert.equal(host.Memory, smoke.memoryBytes);
      assert.equal(host.MemorySwap, smoke.memoryBytes);
      assert.equal(host.NanoCpus, (await docker.info()).NCPU * 1e9);
      assert.equal(host.PidsLimit, smoke.pids);
      assert.deepEqual(host.CapDrop, ['ALL']);
      assert.deepEqual(host.SecurityOpt, ['no-new-privileges']);
      assert.equal(host.LogConfig?.Config['max-size'], '1m');
      assert.deepEqual(Mounts, []);
      assert.deepEqual(host.PortBindings ?? {}, {});
      assert.equal(config.Labels['landfall.rollout'], rollout);
      assert.equal(config.Labels['landfall.worker'], 'worker-of-tests');
      assert.ok(Date.parse(config.Labels['landfall.deadline'] ?? '') > Date.now() + smoke.timeoutMs);
      assert.match(inspected.Name, /^\/landfall-rollout-bounded-1.0-abc-[0-9a-f-]{36}-1-1$/);
    });
  });

  describe('gives a container its environment and command', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'landfall-smoke-'));
    });
    afterEach(() => rm(folder, { recursive: true, force: true }));

    it('with configured variables over those of the file, and secrets resolved and masked in the log', async () => {
      await writeFile(join(folder, '.env.test'), '# test\nUSER_NAME="from file"\nMODE=file\nDB_PASSWORD=file-secret\n');
      const smoke = smokePlan({
        env: { MODE: 'configured', TOKEN: 'env:TEST_TOKEN' },
        envFile: '.env.test',
        command: shell('echo "$USER_NAME|$MODE|$TOKEN|$DB_PASSWORD|$BUILT_IN"; test "$TOKEN" = s3cret-value && exec sleep 60'),
      });
      const secrets = (value: string) => (value === 'env:TEST_TOKEN' ? 's3cret-value' : value);
      const dependencies = { baseDir: folder, secrets };
      const summary = await passes('env', { cmd: ['false'], env: { BUILT_IN: 'image' } }, smoke, { dependencies });
      assert.equal(summary.log, 'from file|configured|[masked]|[masked]|image');
    });

    it('and masks secrets in failures too', async () => {
      const smoke = smokePlan({ env: { TOKEN: 'env:T' }, command: shell('echo "bad token $TOKEN"; exit 1') });
      const dependencies = { secrets: (value: string) => (value === 'env:T' ? 's3cret-value' : value) };
      const { message, failure } = await fails('env-fails', { cmd: ['false'] }, smoke, { dependencies });
      assert.equal(failure.log, 'bad token [masked]');
      assert.doesNotMatch(message, /s3cret/);
    });

    it('and refuses an environment file that is not there, before it pulls', async () => {
      const smoke = smokePlan({ envFile: 'missing.env' });
      const verified = await image('no-file', { cmd: ['true'], env: { ONLY: 'here' } });
      const { outcome } = startSmoke({ docker, image: verified, smoke, dependencies: { baseDir: folder } });
      await assert.rejects(outcome, { type: 'FileNotFound', message: /missing\.env of smoke\.envFile/ });
      await imageIsGone(docker, `${verified.repository}@${verified.digest}`);
    });
  });

  it('keeps a log that is JSON as it was written', async () => {
    const cmd = shell('echo "{\\"level\\":\\"info\\"}"; exec sleep 60');
    // A busy machine may need more than the usual half second to start the shell.
    const summary = await passes('json', { cmd }, smokePlan({ stayUpMs: 2_000 }));
    assert.equal(summary.log, '{"level":"info"}');
  });

  it('removes the volumes that the image asked for', async () => {
    const before = await docker.listVolumes();
    const known = new Set(before.Volumes.map(({ Name }) => Name));
    const options = { cmd: shell('touch /data/file && exec sleep 60'), config: { Volumes: { '/data': {} } } };
    const rollout = `rollout:volumes:${Date.now()}`;
    const verified = await image('volumes', options);
    const started = await expectEvent(docker, rollout, 'start');
    const running = startSmoke({ docker, image: verified, smoke: smokePlan(), rollout });
    const volumes = (await docker.getContainer(await started.seen).inspect()).Mounts.map(({ Name }) => Name);
    assert.equal(volumes.length, 1);
    await running.outcome;
    const after = await docker.listVolumes();
    assert.ok(!known.has(volumes[0] ?? ''));
    assert.ok(!after.Volumes.some(({ Name }) => Name === volumes[0]));
  });

  describe('and the image afterwards', () => {
    const reference = (verified: { repository: string; digest: string }) => `${verified.repository}@${verified.digest}`;

    it('is removed where it was not there before', async () => {
      const verified = await image('pulled', { cmd: ['sleep', '60'], env: { ONLY: 'pulled' } });
      await startSmoke({ docker, image: verified, smoke: smokePlan({ stayUpMs: 50 }) }).outcome;
      await imageIsGone(docker, reference(verified));
    });

    it('is removed without anybody waiting for it', async () => {
      const verified = await image('slowly', { cmd: ['sleep', '60'], env: { ONLY: 'slowly' } });
      let release = () => {};
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });
      const proxy = await startDockerProxy(docker, async (line) => {
        if (line.startsWith('DELETE') && line.includes('/images/')) await released;
      });
      try {
        const running = startSmoke({ docker: proxy.docker, image: verified, smoke: smokePlan({ stayUpMs: 50 }) });
        assert.equal((await running.outcome).kind, 'checked');
        assert.equal(await hasImage(docker, reference(verified)), true);
        release();
        await imageIsGone(docker, reference(verified));
        assert.deepEqual(running.warnings, []);
      } finally {
        release();
        await proxy.stop();
      }
    });

    it('stays where it was there before', async () => {
      const verified = await image('kept', { cmd: ['sleep', '60'], env: { ONLY: 'kept' } });
      const pulling = await docker.pull(reference(verified));
      await new Promise((resolve) => docker.modem.followProgress(pulling, resolve));
      await startSmoke({ docker, image: verified, smoke: smokePlan({ stayUpMs: 50 }) }).outcome;
      assert.equal(await hasImage(docker, reference(verified)), true);
      await docker.getImage(reference(verified)).remove();
    });
  });

  it('lets two tests of the same image run at once without disturbing each other', async () => {
    const files = { 'www/health': 'fine' };
    const verified = await image('twice', { cmd: ['httpd', '-f', '-p', '8080', '-h', '/www'], files });
    const smoke = smokePlan({ probe: { kind: 'http', port: 8080, path: '/health' } });
    const running = [1, 2].map(() => startSmoke({ docker, image: verified, smoke }));
    const outcomes = await Promise.all(running.map(({ outcome }) => outcome));
    assert.deepEqual(
      outcomes.map((outcome) => outcome.kind),
      ['checked', 'checked'],
    );
    for (const { rollout } of running) assert.deepEqual(await labelled(docker, rollout), []);
  });

  it('refuses an image that is not for the platform of the host', async () => {
    const other = hostPlatform() === 'linux/amd64' ? 'linux/arm64' : 'linux/amd64';
    const digest = await pushImage(registry, 'foreign', 'latest', { busybox: true, cmd: ['true'], platform: other });
    // What verify knows is said before anything is pulled, so this registry need not be there.
    const told = imageToSmoke('127.0.0.1:1/foreign', digest, [other]);
    const untold = imageToSmoke(`${registry.host}/foreign`, digest, []);
    for (const verified of [told, untold]) {
      const { outcome } = startSmoke({ docker, image: verified, smoke: smokePlan() });
      await assert.rejects(outcome, {
        type: 'PlatformMissing',
        message: new RegExp(`it is for ${other}.*push the image for that`),
      });
      await imageIsGone(docker, `${verified.repository}@${digest}`);
    }
  });
});
