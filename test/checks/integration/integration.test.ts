import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CancelledFailure } from '@temporalio/activity';
import type Docker from 'dockerode';
import type { IntegrationPlan } from '../../../src/checks/integration/plan.ts';
import type { Evidence } from '../../../src/domain/evidence.ts';
import type { Digest } from '../../../src/domain/image-reference.ts';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import { jsonLines } from '../../../src/platform/docker/events.ts';
import { createSweep } from '../../../src/platform/docker/sweep.ts';
import { failureOf } from '../../support/activity.ts';
import { ensureDocker, expectEvent, hasImage, imageIsGone, labelled, removeImagesOf } from '../../support/docker.ts';
import { type ImageOptions, pushImage, tag } from '../../support/images.ts';
import { type RunningIntegration, startIntegration } from '../../support/integration.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { imageToSmoke, keyOfTests } from '../../support/smoke.ts';

const serving = ['httpd', '-f', '-p', '8080', '-h', '/www'];

describe('integrate', function () {
  this.timeout(90_000);
  let docker: Docker;
  let registry: Registry;
  let folder: string;
  let tools: string;
  let neighbour: Docker.Container;
  const taken = `landfall-integrate-${randomUUID()}`;

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
    await push('tools', { cmd: ['sleep', '600'] });
    tools = `${registry.host}/tools:latest`;
    // What is deployed on this host has the names and the volume that the compose file would take.
    await docker.createVolume({ Name: `${taken}-data` });
    await docker.createNetwork({ Name: `${taken}-net` });
    const pulling = await docker.pull(tools);
    await new Promise((resolve) => docker.modem.followProgress(pulling, resolve));
    neighbour = await docker.createContainer({
      name: taken,
      Image: tools,
      HostConfig: { NetworkMode: `${taken}-net` },
      StopTimeout: 0,
    });
    await neighbour.start();
  });
  after(async () => {
    await neighbour.remove({ force: true, v: true });
    await docker.getNetwork(`${taken}-net`).remove();
    await docker.getVolume(`${taken}-data`).remove();
    await removeImagesOf(docker, registry.host);
    await registry.stop();
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-integrate-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  function push(name: string, options: ImageOptions = {}): Promise<Digest> {
    return pushImage(registry, name, 'latest', { busybox: true, env: { ONLY: name }, ...options });
  }
  async function candidate(name: string, options: ImageOptions = {}): Promise<VerifiedImage> {
    const files = { 'www/version': `candidate ${name}` };
    return imageToSmoke(`${registry.host}/${name}`, await push(name, { cmd: serving, files, ...options }));
  }

  const compose = (web: string, rest = '') => `
services:
  web:
    image: ${web}
${rest}`;

  /** A test image's command, or what is told instead. */
  async function start(
    image: VerifiedImage,
    script: string,
    changes: Partial<IntegrationPlan> = {},
    file?: string,
  ): Promise<RunningIntegration> {
    await writeFile(join(folder, 'it.yml'), file ?? compose(`${image.repository}:latest`));
    return startIntegration({ docker, image, baseDir: folder, integration: planOf(script, changes) });
  }
  function planOf(script: string, changes: Partial<IntegrationPlan> = {}): IntegrationPlan {
    return {
      compose: 'it.yml',
      candidate: 'web',
      services: [],
      test: { kind: 'image', image: tools, command: ['sh', '-c', script] },
      env: {},
      timeoutMs: 30_000,
      ...changes,
    };
  }

  const integrated = async ({ outcome }: RunningIntegration): Promise<{ log: string }> => {
    const found = await outcome;
    if (found.kind !== 'checked') assert.fail(JSON.stringify(found));
    assert.match(found.text, /^passed after \d+\.\d s$/);
    return { log: found.evidence[0]?.log ?? '' };
  };
  const refused = async ({ outcome }: RunningIntegration) => {
    const { type, message, nonRetryable, details } = await failureOf(outcome);
    assert.deepEqual([type, nonRetryable], ['IntegrationFailed', true]);
    const [[test, candidate] = []] = details as [Evidence[]];
    const exitCode = /^exit code (\d+)$/.exec(test?.text ?? '')?.[1];
    return {
      message,
      details: { log: test?.log, candidateLog: candidate?.log, ...(exitCode !== undefined && { exitCode: Number(exitCode) }) },
    };
  };
  /** Containers, networks and volumes of the rollout, and of any project that a check made. */
  async function isClean({ rollout, warnings }: RunningIntegration): Promise<void> {
    assert.deepEqual(warnings, []);
    assert.deepEqual(await labelled(docker, rollout), []);
    const { Volumes } = await docker.listVolumes({ filters: { label: [`landfall.rollout=${rollout}`] } });
    assert.deepEqual(Volumes ?? [], []);
  }

  it('passes when the test image exits with 0 against the candidate, and leaves nothing', async () => {
    const image = await candidate('passing');
    const running = await start(image, 'until wget -q -O - http://web:8080/version; do sleep 0.1; done');
    const { log } = await integrated(running);
    assert.match(log, /candidate passing$/);
    await isClean(running);
    await imageIsGone(docker, `${image.repository}@${image.digest}`);
    assert.ok(await hasImage(docker, tools));
  });

  it('runs the digest, whatever the tag of the file means by now', async () => {
    const image = await candidate('moved');
    await pushImage(registry, 'moved', 'latest', { busybox: true, cmd: serving, files: { 'www/version': 'something newer' } });
    const running = await start(image, 'until wget -q -O - http://web:8080/version; do sleep 0.1; done');
    assert.match((await integrated(running)).log, /candidate moved$/);
  });

  it('fails when the test does, with its exit code, its log, and that of the candidate; secrets are masked', async () => {
    const image = await candidate('failing', { cmd: ['sh', '-c', 'echo cannot reach the database; exec sleep 600'] });
    const env = { API_KEY: 'env:API_KEY', PLAIN: 'plain $HOME' };
    const running = await start(image, 'echo "using $API_KEY and $PLAIN"; exit 3', { env });
    const { message, details } = await refused(running);
    assert.match(message, /^expected the integration test to exit with 0, but it exited with 3: its log says why$/);
    assert.deepEqual(details, { log: 'using [masked] and plain $HOME', candidateLog: 'cannot reach the database', exitCode: 3 });
    await isClean(running);
  });

  it('runs a command in a service, as the other kind of test', async () => {
    const image = await candidate('exec');
    const exec = (command: string): Partial<IntegrationPlan> => ({
      test: { kind: 'exec', service: 'client', command: ['sh', '-c', command] },
    });
    const file = compose(image.repository, `  client:\n    image: ${tools}\n    depends_on: [web]\n`);
    const passing = await start(image, '', exec('wget -q -O - http://web:8080/version; echo; echo "$GREETING" >&2'), file);
    assert.match((await integrated(passing)).log, /candidate exec$/);
    const failing = await start(
      image,
      '',
      { ...exec('echo "no such page: $GREETING"; exit 4'), env: { GREETING: 'hello' } },
      file,
    );
    assert.deepEqual((await refused(failing)).details, { exitCode: 4, log: 'no such page: hello', candidateLog: '' });
    await isClean(passing);
    await isClean(failing);
  });

  it('meets nothing else on the host: names, ports, networks and volumes are its own', async () => {
    const image = await candidate('isolated');
    const file = compose(
      image.repository,
      `    container_name: ${taken}
    ports: ["${registry.port}:8080"]
    restart: always
    networks: [shared]
    volumes: ["data:/data"]
    depends_on:
      migrate: { condition: service_completed_successfully }
  migrate:
    image: ${tools}
    command: ["sh", "-c", "echo migrated > /data/state"]
    volumes: ["data:/data"]
networks:
  shared: { external: true, name: ${taken}-net }
volumes:
  data: { external: true, name: ${taken}-data }
`,
    );
    const since = Math.floor(Date.now() / 1000);
    const script = 'until wget -q -O - http://web:8080/version; do sleep 0.1; done';
    const running = await start(image, script, { services: ['migrate'] }, file);
    assert.match((await integrated(running)).log, /candidate isolated$/);
    assert.deepEqual(await connections(`${taken}-net`, since), []);
    await isClean(running);
    assert.equal((await neighbour.inspect()).State.Running, true);
    assert.ok(await docker.getVolume(`${taken}-data`).inspect());
  });

  /** Containers that joined the network since then, beside the neighbour. */
  async function connections(network: string, since: number): Promise<unknown[]> {
    const filters = { type: ['network' as const], network: [network], event: ['connect'] };
    const events = await docker.getEvents({ since, until: Math.ceil(Date.now() / 1000), filters });
    const joined: unknown[] = [];
    for await (const event of jsonLines(events))
      joined.push((event.Actor as { Attributes: { container: string } }).Attributes.container);
    return joined.filter((id) => id !== neighbour.id);
  }

  it('refuses what would give an image this host, as Compose writes it, and names service and key', async () => {
    const image = await candidate('host');
    await symlink('/etc', join(folder, 'link'));
    const cases: readonly (readonly [yaml: string, RegExp])[] = [
      ['    network_mode: host\n', /service web has network_mode host/],
      [`  db:\n    image: ${tools}\n    privileged: true\n`, /service db has privileged true/],
      ['    pid: host\n    cap_add: [CHOWN]\n', /service web has pid host/],
      ['    cap_add: [CHOWN, SYS_ADMIN]\n', /service web has cap_add SYS_ADMIN/],
      ['    devices: ["/dev/fuse:/dev/fuse"]\n', /service web has devices/],
      ['    security_opt: ["seccomp:unconfined"]\n', /service web has security_opt seccomp[:=]unconfined/],
      [
        '    volumes: ["/var/run/docker.sock:/docker.sock"]\n',
        /a volume of service web mounts \/var\/run\/docker\.sock, a socket/,
      ],
      ['    volumes: ["/etc:/host:ro"]\n', /a volume of service web mounts \/etc, which belongs to the host/],
      ['    volumes: ["./link/ssl:/certs"]\n', /a volume of service web mounts .*link\/ssl, which belongs to the host/],
      [
        '    secrets: [key]\nsecrets: { key: { file: /etc/shadow } }\n',
        /secrets\.key mounts \/etc\/shadow, which belongs to the host/,
      ],
    ];
    for (const [yaml, expected] of cases) {
      const services = yaml.includes('  db:') ? ['db'] : [];
      const running = await start(image, 'true', { services }, compose(image.repository, yaml));
      assert.match((await refused(running)).message, expected);
      await isClean(running);
    }
  });

  it('gives the candidate the limits of a smoke test, files of its repository, and no way out, nor to this host', async () => {
    const image = await candidate('boxed', { healthcheck: { test: ['CMD', 'true'], intervalMs: 1 } });
    await writeFile(join(folder, 'settings'), 'from the repository');
    const rollout = `rollout:boxed:${randomUUID()}`;
    const file = compose(image.repository, '    volumes: ["./settings:/www/settings:ro"]\n    cap_add: [CHOWN]\n');
    await writeFile(join(folder, 'it.yml'), file);
    const { Gateway } = (await neighbour.inspect()).NetworkSettings.Networks[`${taken}-net`] ?? assert.fail();
    // On all addresses of this host.
    const host = createServer((socket) => socket.end()).listen(0, '0.0.0.0');
    await once(host, 'listening');
    const { port } = host.address() as AddressInfo;
    const script = `wget -q -O - http://web:8080/settings; nc -w 1 ${Gateway} ${port} </dev/null && echo reached the host; true`;
    const started = await expectEvent(docker, rollout, 'start');
    const running = startIntegration({ docker, image, baseDir: folder, integration: planOf(script), rollout });
    const { HostConfig, Config } = await docker.getContainer(await started.seen).inspect();
    const { log } = await integrated(running).finally(() => host.close());
    assert.match(log, /from the repository/);
    assert.doesNotMatch(log, /reached the host/);
    const { Memory, MemorySwap, PidsLimit, NanoCpus, CapDrop, CapAdd, SecurityOpt, LogConfig } = HostConfig;
    assert.deepEqual([Memory, MemorySwap, PidsLimit, NanoCpus], [512 * 1024 ** 2, 512 * 1024 ** 2, 256, 1e9]);
    assert.deepEqual([CapDrop, CapAdd?.map((each: string) => each.replace('CAP_', ''))], [['ALL'], ['CHOWN']]);
    assert.ok(
      SecurityOpt?.some((each: string) => each.startsWith('no-new-privileges')),
      `${SecurityOpt}`,
    );
    assert.equal(LogConfig?.Config['max-size'], '1m');
    assert.equal(Config.Healthcheck?.Interval, 1e9);
    await isClean(running);
  });

  it('waits until services are healthy before it tests', async () => {
    const healthcheck = { test: ['CMD', 'test', '-e', '/tmp/ready'], intervalMs: 200, retries: 100 };
    const image = await candidate('healthy', {
      cmd: ['sh', '-c', 'sleep 1; touch /tmp/ready; exec httpd -f -p 8080 -h /www'],
      healthcheck,
    });
    const running = await start(image, 'wget -q -O - http://web:8080/version');
    assert.match((await integrated(running)).log, /candidate healthy/);
  });

  it('fails where the candidate does not come up, with its log', async () => {
    const image = await candidate('crashing', { cmd: ['sh', '-c', 'echo no configuration; exit 9'] });
    // It exits in its own time: the test would wait for ever.
    const running = await start(
      image,
      'sleep 600',
      { services: ['late'] },
      compose(
        image.repository,
        `  late:\n    image: ${tools}\n    depends_on:\n      web: { condition: service_completed_successfully }\n`,
      ),
    );
    const { message, details } = await refused(running);
    assert.match(
      message,
      /expected all services to be ready for the integration test, but service .*(exited|could not be started)/,
    );
    assert.equal(details.candidateLog, 'no configuration');
    await isClean(running);
  });

  it('fails where it takes too long, with what the test said so far', async () => {
    const image = await candidate('endless');
    const running = await start(image, 'echo still waiting; sleep 600', { timeoutMs: 6_000 });
    const { message, details } = await refused(running);
    assert.match(message, /to end within 6 s, but it did not/);
    assert.equal(details.log, 'still waiting');
    await isClean(running);
  });

  it('says what is wrong with the compose file, or that there is none', async () => {
    const image = await candidate('files');
    const without = startIntegration({ docker, image, baseDir: folder, integration: planOf('true') });
    const { type, message } = await failureOf(without.outcome);
    assert.equal(type, 'FileNotFound');
    assert.match(message, /it\.yml of the integration check in .* found none/);
    assert.match(
      (await refused(await start(image, 'true', { candidate: 'api' }))).message,
      /with api, but Compose says: .*no such service: api/,
    );
    assert.match((await refused(await start(image, 'true', {}, 'services: [')))?.message, /but Compose says: /);
  });

  it('pulls the images of other services too, and says so where there is none', async () => {
    const image = await candidate('others');
    await docker
      .getImage(tools)
      .remove({ force: true })
      .catch(() => undefined);
    const digest = await push('database', { cmd: ['sleep', '600'] });
    await tag(registry, 'database', digest, '16');
    const file = (name: string) =>
      compose(image.repository, `    depends_on: [db]\n  db:\n    image: ${registry.host}/${name}\n`);
    await integrated(await start(image, 'true', {}, file('database:16')));
    assert.ok(await hasImage(docker, `${registry.host}/database:16`));
    const missing = await start(image, 'true', {}, file('nowhere:16'));
    await assert.rejects(missing.outcome, /Docker could not pull .*nowhere:16/);
    await isClean(missing);
  });

  it('cleans up when it is cancelled, wherever that is', async () => {
    const image = await candidate('cancelled');
    for (const event of ['create', 'start']) {
      const rollout = `rollout:cancelled:${randomUUID()}`;
      await writeFile(join(folder, 'it.yml'), compose(image.repository));
      const seen = await expectEvent(docker, rollout, event);
      const running = startIntegration({ docker, image, baseDir: folder, integration: planOf('sleep 600'), rollout });
      await seen.seen;
      running.environment.cancel();
      await assert.rejects(running.outcome, CancelledFailure);
      await isClean(running);
    }
  });

  describe('a killed worker', () => {
    async function killWhileRunning(name: string) {
      const ids = { rollout: `rollout:${name}:${randomUUID()}`, run: randomUUID() };
      const image = await candidate(name);
      await writeFile(join(folder, 'it.yml'), compose(image.repository, '    volumes: ["data:/data"]\nvolumes: { data: {} }\n'));
      const started = await expectEvent(docker, ids.rollout, 'start');
      const input = { image, baseDir: folder, integration: planOf('sleep 600'), ...ids };
      const program = fileURLToPath(new URL('../../support/integration-worker.ts', import.meta.url));
      const worker: ChildProcess = spawn(process.execPath, [program, JSON.stringify(input)], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      await started.seen;
      const exited = once(worker, 'exit');
      worker.kill('SIGKILL');
      await exited;
      return { ...ids, image };
    }

    it('leaves what the next attempt removes', async () => {
      const { rollout, run, image } = await killWhileRunning('killed');
      const next = startIntegration({ docker, image, baseDir: folder, integration: planOf('true'), rollout, run, attempt: 2 });
      await integrated(next);
      await isClean(next);
    });

    it('leaves what the sweep removes, where no attempt follows', async () => {
      const { rollout } = await killWhileRunning('killed-last');
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
      const removed = await sweep.sweepOnce();
      for (const ending of ['-web-1', '_default', '_data'])
        assert.ok(
          removed.some((name) => name.endsWith(ending)),
          `${ending} of ${removed}`,
        );
      assert.deepEqual(await labelled(docker, rollout), []);
    });
  });
});
