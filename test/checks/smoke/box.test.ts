import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import type Docker from 'dockerode';
import type { SmokePlan } from '../../../src/checks/smoke/plan.ts';
import { failureOf } from '../../support/activity.ts';
import { ensureDocker, expectEvent, labelled, removeImagesOf } from '../../support/docker.ts';
import { type ImageOptions, pushImage } from '../../support/images.ts';
import { type Registry, startRegistry } from '../../support/registry.ts';
import { imageToSmoke, type SmokeAttempt, smokePlan, startSmoke } from '../../support/smoke.ts';

/** What a smoke test keeps from an image that nobody has looked at yet. */
describe('the box of a smoke test', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  /** On all addresses of this host. */
  let host: Server;
  let neighbour: Docker.Container;
  let targets: Readonly<Record<'host' | 'neighbour', string>>;

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
    host = createServer((socket) => socket.end()).listen(0, '0.0.0.0');
    await once(host, 'listening');
    const { port } = host.address() as AddressInfo;
    const verified = await image('neighbour', { cmd: ['httpd', '-f', '-p', '8080'] });
    const Image = `${verified.repository}@${verified.digest}`;
    const pulling = await docker.pull(Image);
    await new Promise((resolve) => docker.modem.followProgress(pulling, resolve));
    neighbour = await docker.createContainer({ Image, HostConfig: { NetworkMode: 'bridge' } });
    await neighbour.start();
    const { IPAddress, Gateway } = (await neighbour.inspect()).NetworkSettings.Networks.bridge ?? assert.fail();
    targets = { host: `${Gateway} ${port}`, neighbour: `${IPAddress} 8080` };
  });
  after(async () => {
    await neighbour.remove({ force: true, v: true });
    host.close();
    await removeImagesOf(docker, registry.host);
    await registry.stop();
  });

  async function image(name: string, options: ImageOptions) {
    return imageToSmoke(`${registry.host}/${name}`, await pushImage(registry, name, 'latest', { busybox: true, ...options }));
  }

  const isDone = { kind: 'exec', command: ['test', '-f', '/tmp/done'] } as const;

  /** Runs a script to its end. @returns what it printed, and what people are told */
  async function runs(
    name: string,
    script: string,
    changes: Partial<SmokePlan> = {},
    options: ImageOptions = {},
    rest: Partial<SmokeAttempt> = {},
  ): Promise<{ lines: string[]; text: string; container: Docker.ContainerInspectInfo }> {
    const rollout = `rollout:box:${randomUUID()}`;
    const cmd = ['sh', '-c', `${script}; touch /tmp/done; exec httpd -f -p 8080 -h /`];
    const verified = await image(name, { cmd, ...options });
    const started = await expectEvent(docker, rollout, 'start');
    const smoke = smokePlan({ probe: isDone, ...changes });
    const { outcome, warnings } = startSmoke({ docker, image: verified, smoke, rollout, ...rest });
    const inspected = started.seen.then((id) => docker.getContainer(id).inspect());
    const found = await outcome;
    assert.deepEqual([warnings, await labelled(docker, rollout)], [[], []]);
    if (found.kind !== 'checked') assert.fail(found.kind);
    const log = found.evidence[0]?.log ?? '';
    return { lines: log.split('\n').filter((line) => line !== ''), text: found.text, container: await inspected };
  }

  /** A script that says what it reaches. */
  const reaching = (what = Object.keys(targets)) => {
    const { host: here, neighbour: other } = targets;
    const tries = [
      ...(what.includes('host') ? [`host ${here}`] : []),
      ...(what.includes('neighbour') ? [`neighbour ${other}`] : []),
      'metadata 169.254.169.254 80',
    ];
    return [
      ...tries.map((each) => {
        const [name, address, port] = each.split(' ');
        return `nc -w 1 ${address} ${port} </dev/null >/dev/null 2>&1 && echo ${name}`;
      }),
      'nc -w 1 database.internal.example 80 </dev/null >/dev/null 2>&1 && echo name',
      'true',
    ].join('; ');
  };
  const interfaces = 'ls /sys/class/net';

  it('has no way out: to no metadata of a cloud, no other container, no name, and not to the host', async () => {
    const { lines, text } = await runs('closed', reaching());
    assert.deepEqual(lines, []);
    assert.match(text, /^ready by exec after [\d.]+ s on \S+$/);
  });

  it('has none either where a worker on the host asks its port at its own address', async () => {
    const http = { kind: 'http', port: 8080, path: '/tmp/done' } as const;
    const { lines, container } = await runs('asked', reaching(['neighbour']), { probe: http });
    assert.deepEqual([lines, container.HostConfig.PortBindings ?? {}], [[], {}]);
  });

  it('has none, and a published port, where the bridges of Docker are not on this host', async () => {
    const http = { kind: 'http', port: 8080, path: '/tmp/done' } as const;
    const dependencies = { hasInterface: () => false };
    const { lines, container } = await runs('desktop', reaching(['neighbour']), { probe: http }, {}, { dependencies });
    assert.deepEqual(lines, []);
    assert.deepEqual(container.HostConfig.PortBindings, { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] });
  });

  it('reaches what Docker lets containers reach where the plan says full, and people are told', async () => {
    const { lines, text } = await runs('full', reaching(['host']), { network: 'full' });
    assert.ok(lines.includes('host'), `it reaches ${lines}`);
    assert.match(text, / on \S+, with the whole network$/);
  });

  it('has no network at all where the plan says none', async () => {
    const { lines, container } = await runs('none', interfaces, { network: 'none' });
    assert.deepEqual([lines, Object.keys(container.NetworkSettings.Networks)], [['lo'], ['none']]);
  });

  it('says what to do where an image fails for want of a network', async () => {
    const verified = await image('wants', { cmd: ['sh', '-c', 'echo getaddrinfo ENOTFOUND db.example.org; exit 1'] });
    const { message } = await failureOf(startSmoke({ docker, image: verified, smoke: smokePlan() }).outcome);
    assert.match(message, /looks for something that its network does not have: .* smoke\.env, or set smoke\.network to full/);
    const full = startSmoke({ docker, image: verified, smoke: smokePlan({ network: 'full' }) }).outcome;
    assert.doesNotMatch((await failureOf(full)).message, /network/);
  });

  it('bounds open files, core dumps and every file that is written, and takes a runtime', async () => {
    const script =
      'ulimit -n; ulimit -c; busybox dd if=/dev/zero of=/tmp/large bs=1M count=20 2>/dev/null; busybox stat -c %s /tmp/large';
    const { lines, container } = await runs('bounded', script, { diskBytes: 8 * 1024 ** 2, runtime: 'runc' });
    assert.deepEqual(
      lines.filter((line) => /^\d+$/.test(line)),
      ['16384', '0', String(8 * 1024 ** 2)],
    );
    assert.equal(container.HostConfig.Runtime, 'runc');
    const unknown = smokePlan({ runtime: 'no-such-runtime' });
    const { outcome } = startSmoke({ docker, image: await image('bounded', { cmd: ['true'] }), smoke: unknown });
    await assert.rejects(outcome, /runtime.*no-such-runtime/);
  });

  it('writes nothing to the disk where the root is read-only, and no more into memory than it may', async () => {
    const fill = (file: string) =>
      `busybox dd if=/dev/zero of=${file} bs=1M count=12 2>/dev/null && echo filled ${file}; rm -f ${file}`;
    const script = `touch /anywhere 2>/dev/null && echo root; ${fill('/tmp/large')}; ${fill('/data/large')}; touch /data/small /run/small || echo full`;
    const { lines, container } = await runs(
      'read-only',
      script,
      { readOnly: true, diskBytes: 8 * 1024 ** 2 },
      { config: { Volumes: { '/data': {} } } },
    );
    assert.deepEqual(lines, []);
    assert.ok(
      container.Mounts.every(({ Type }) => Type === 'tmpfs'),
      JSON.stringify(container.Mounts),
    );
  });

  it("is not kept busy by its image's own HEALTHCHECK", async () => {
    const beats = { test: ['CMD-SHELL', 'echo >> /tmp/beats; exit 1'], intervalMs: 1, retries: 10_000 };
    const { lines } = await runs('storm', 'sleep 3; busybox wc -l < /tmp/beats', {}, { healthcheck: beats });
    assert.ok(Number(lines[0]) >= 1 && Number(lines[0]) <= 3, `it was run ${lines[0]} times in 3 s`);
  });
});
