import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import type Docker from 'dockerode';
import fc from 'fast-check';
import type { VerifiedImage } from '../../../src/domain/outcomes.ts';
import type { Container } from '../../../src/platform/docker/container.ts';
import { createDeployWorld, type DeployWorld, work } from '../../support/docker-deploy.ts';
import type { ImageOptions } from '../../support/images.ts';

type Options = Docker.ContainerCreateOptions;

const generatedVolume = /^[0-9a-f]{64}$/;

/** What Docker says about a container, without what differs between any two containers. */
function normalised({ Config, HostConfig, Mounts, NetworkSettings, Id }: Container): object {
  const labels = Object.entries(Config.Labels ?? {}).filter(([key]) => !key.startsWith('landfall.deployed.'));
  const networks = Object.entries(NetworkSettings.Networks ?? {}).map(([name, endpoint]) => {
    const { IPAMConfig, Links, DriverOpts, Aliases } = endpoint;
    const aliases = (Aliases ?? []).filter((alias) => alias !== Id.slice(0, 12));
    return [name, { IPAMConfig: IPAMConfig ?? {}, Links: Links ?? [], DriverOpts: DriverOpts ?? {}, Aliases: aliases.sort() }];
  });
  const nameOf = (name: string | undefined) => (generatedVolume.test(name ?? '') ? 'unnamed' : (name ?? ''));
  const mounts = Mounts.map(({ Type, Name, Destination, RW, Propagation, Source }) =>
    [Type, Type === 'bind' ? Source : nameOf(Name), Destination, RW, Propagation].join(' '),
  );
  const listed: unknown = HostConfig.Mounts ?? [];
  const mountSettings = (Array.isArray(listed) ? listed : []).map((mount: { Source?: string }) => {
    const { Source = '', ...rest } = mount;
    return generatedVolume.test(Source) ? rest : mount;
  });
  const binds = (HostConfig.Binds ?? []).filter((bind) => !generatedVolume.test(bind.split(':')[0] ?? ''));
  const settings = { ...Config, Image: '', Hostname: Config.Hostname === Id.slice(0, 12) ? '' : Config.Hostname };
  return JSON.parse(
    JSON.stringify({
      config: { ...settings, Labels: Object.fromEntries(labels.sort()), Env: [...(Config.Env ?? [])].sort() },
      // Where nothing was said about these, some daemons say nothing and some their default.
      host: {
        ...HostConfig,
        Binds: binds,
        Mounts: mountSettings,
        Runtime: HostConfig.Runtime ?? 'runc',
        RestartPolicy: { ...HostConfig.RestartPolicy, Name: HostConfig.RestartPolicy?.Name || 'no' },
      },
      mounts: mounts.sort(),
      networks: Object.fromEntries(networks.sort()),
    }),
  );
}

describe('a container that a docker deploy recreates', function () {
  this.timeout(120_000);
  let world: DeployWorld;
  before(async () => {
    world = await createDeployWorld();
  });
  after(() => world.stop());

  const deploy = async (image: VerifiedImage, name: string, rollout = 'rollout:web:1') => {
    const target = world.target(image, [name], { rollout });
    const deployed = await world.deployer().deploy(target, work());
    await world.deployer().settle(target);
    return deployed;
  };

  const everything = async (): Promise<Options> => {
    // Two runs on one engine must not want the same addresses.
    const net = `10.${randomInt(200, 250)}.${randomInt(256)}`;
    const first = await world.network({ IPAM: { Driver: 'default', Config: [{ Subnet: `${net}.0/24` }] } });
    const named = `${world.prefix}-volume`;
    const mounts: unknown = [
      { Type: 'volume', Target: '/mount-unnamed' },
      { Type: 'volume', Source: named, Target: '/mount-named', ReadOnly: true },
      { Type: 'bind', Source: '/etc', Target: '/mount-bind', ReadOnly: true },
      { Type: 'tmpfs', Target: '/mount-tmpfs', TmpfsOptions: { SizeBytes: 1_000_000 } },
    ];
    return {
      Hostname: 'chosen',
      Domainname: 'example.test',
      User: '1000:1000',
      Env: ['MINE=1', 'VERSION=mine'],
      Entrypoint: ['/bin/sh', '-c'],
      Cmd: ['exec sleep 1000'],
      WorkingDir: '/tmp',
      Tty: true,
      OpenStdin: true,
      StopSignal: 'SIGINT',
      StopTimeout: 1,
      MacAddress: '02:42:0a:d5:4d:07',
      Labels: { 'com.example.owner': 'me' },
      ExposedPorts: { '8080/tcp': {}, '9090/udp': {} },
      Volumes: { '/unnamed': {} },
      Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000, Retries: 7 },
      HostConfig: {
        NetworkMode: first,
        Binds: [`${named}:/named:ro`, '/etc:/bound:ro'],
        Mounts: mounts as never,
        Tmpfs: { '/scratch': 'size=1m' },
        PortBindings: { '8080/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] },
        RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
        LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
        Memory: 64 * 1024 * 1024,
        NanoCpus: 500_000_000,
        PidsLimit: 100,
        CapAdd: ['NET_ADMIN'],
        CapDrop: ['MKNOD'],
        Devices: [{ PathOnHost: '/dev/null', PathInContainer: '/dev/nothing', CgroupPermissions: 'r' }],
        ExtraHosts: ['elsewhere:10.0.0.1'],
        Dns: ['10.0.0.2'],
        DnsSearch: ['example.test'],
        DnsOptions: ['ndots:1'],
        Ulimits: [{ Name: 'nofile', Soft: 1000, Hard: 2000 }],
        Sysctls: { 'net.ipv4.ip_forward': '1' },
        GroupAdd: ['100'],
        Init: true,
        PidMode: 'host',
        IpcMode: 'shareable',
        ShmSize: 1_000_000,
        OomScoreAdj: 100,
        ReadonlyRootfs: true,
        SecurityOpt: ['no-new-privileges'],
      },
      NetworkingConfig: {
        EndpointsConfig: { [first]: { Aliases: ['web', 'www'], IPAMConfig: { IPv4Address: `${net}.7` }, Links: [] } },
      },
    };
  };

  it('differs in nothing but its image from before, with everything set that can be, however often it is done', async () => {
    const [one, two] = [await world.push('1'), await world.push('2')];
    const name = await world.run(one, await everything());
    const second = await world.network();
    await world.docker.getNetwork(second).connect({ Container: name, EndpointConfig: { Aliases: ['other'] } });
    const before = await world.inspect(name);
    for (const [index, image] of [two, one, two].entries()) {
      await deploy(image, name, `rollout:web:${index}`);
      const after = await world.inspect(name);
      assert.deepEqual(normalised(after), normalised(before));
      assert.equal(after.NetworkSettings.Networks?.[second]?.IPAddress === '', false);
      assert.notEqual(after.Id, before.Id);
      // Unnamed volumes are handed on, with their content.
      const unnamed = (container: Container) =>
        container.Mounts.map(({ Name }) => Name ?? '').filter((each) => generatedVolume.test(each));
      assert.deepEqual(unnamed(after).sort(), unnamed(before).sort());
    }
    await world.remove(name);
  });

  it('has what the new image says where its owner said nothing, as if it had been made with it', async () => {
    const { options, images } = arbitraries();
    await fc.assert(
      fc.asyncProperty(images, images, options, async (oldImage, newImage, own) => {
        // To take an entrypoint away from an image that has none is to say what it says.
        fc.pre(own.Entrypoint?.[0] !== '' || oldImage.entrypoint !== undefined);
        const [old, next] = [await world.push('old', oldImage), await world.push('new', newImage)];
        fc.pre(old.digest !== next.digest);
        const name = await world.run(old, { ...own, starts: false });
        const deployed = await deploy(next, name);
        assert.match(deployed.text, /left it stopped/);
        const fresh = await world.run(next, { ...own, starts: false });
        const [after, expected] = [await world.inspect(name), await world.inspect(fresh)];
        // The content of the old image's volumes is its owner's.
        const mounted = expected.Mounts.map(({ Destination }) => Destination);
        const oldVolumes = Object.keys(oldImage.config?.Volumes ?? {}).filter((path) => !mounted.includes(path));
        const kept = after.Mounts.filter(({ Destination }) => !oldVolumes.includes(Destination));
        assert.equal(after.Mounts.length - kept.length, oldVolumes.length);
        assert.deepEqual(normalised({ ...after, Mounts: kept }), normalised(expected));
        await world.remove(name);
        await world.remove(fresh);
      }),
      { numRuns: 25 },
    );
  });

  it('finds what it wrote to a volume without a name, of its own and of its image', async () => {
    const volumes = { config: { Volumes: { '/of-image': {} } } };
    const [old, next] = [await world.push('v1', volumes), await world.push('v2', { config: { Volumes: { '/new': {} } } })];
    const write = ['sh', '-c', 'test -e /own/x || { echo 1 > /own/x; echo 2 > /of-image/x; }; exec sleep 1000'];
    const name = await world.run(old, { Volumes: { '/own': {} }, Cmd: write });
    const target = world.target(next, [name]);
    const before = await world.deployer().running(target);
    const read = async () => {
      const exec = await world.docker
        .getContainer(name)
        .exec({ Cmd: ['cat', '/own/x', '/of-image/x'], AttachStdout: true, Tty: true });
      const stream = await exec.start({ Tty: true });
      let text = '';
      for await (const chunk of stream) text += String(chunk);
      return text.replace(/\s+/g, ' ');
    };
    await world.deployer().deploy(target, work());
    assert.equal(await read(), '1 2 ');
    await world.deployer().restore(target, before, work());
    assert.equal(await read(), '1 2 ');
    await world.deployer().deploy(target, work());
    await world.deployer().settle(target);
    assert.equal(await read(), '1 2 ');
    await world.deployer().restore(target, before, work());
    assert.equal(await read(), '1 2 ');
    await world.remove(name);
  });

  it('keeps to the host, to no network, to another container, and to where it was connected since', async () => {
    const [old, next] = [await world.push('n1'), await world.push('n2')];
    const other = await world.run(old);
    const network = await world.network();
    const Env = ['VERSION=mine'];
    const moved = await world.run(old, { Env });
    await world.docker.getNetwork(network).connect({ Container: moved, EndpointConfig: { Aliases: ['moved'] } });
    await world.docker.getNetwork('bridge').disconnect({ Container: moved });
    const modes = ['host', 'none', `container:${other}`].map((NetworkMode) => ({ Env, HostConfig: { NetworkMode } }));
    const names = [moved, await world.run(old, { Env, ExposedPorts: { '80/tcp': {} } })];
    for (const options of modes) names.push(await world.run(old, options));
    const look = () => Promise.all(names.map(async (name) => normalised(await world.inspect(name))));
    const before = await look();
    await world.deployer().deploy(world.target(next, names), work());
    assert.deepEqual(await look(), before);
    for (const name of [...names, other]) await world.remove(name);
  });
});

/** Images and settings whose values never meet: what is set to just what the image says counts as the image's. */
function arbitraries() {
  const some = <Value>(value: Value) => fc.option(fc.constant(value), { nil: undefined });
  const given = (record: Record<string, unknown>) =>
    Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));
  const images = fc
    .tuple(fc.constantFrom('a', 'b', 'c'), fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }))
    .map(([word, has]): ImageOptions => {
      const [env, cmd, entrypoint, user, labels, ports, health, workdir, volumes] = has;
      return {
        env: { [`ONLY_${word}`]: '1', ...(env ? { BOTH: word } : {}) },
        cmd: cmd ? ['sleep', `10${word.charCodeAt(0)}`] : ['sleep', '3600'],
        ...(entrypoint ? { entrypoint: [`/bin/${word}`] } : {}),
        ...(user ? { user: word } : {}),
        ...(labels ? { labels: { both: word, [word]: '1' } } : {}),
        ...(ports ? { exposedPorts: [`${1000 + word.charCodeAt(0)}/tcp`, '80/tcp'] } : {}),
        ...(health ? { healthcheck: { test: ['CMD', word], intervalMs: 1000 + word.charCodeAt(0) } } : {}),
        config: {
          StopSignal: word === 'a' ? 'SIGKILL' : 'SIGQUIT',
          ...(workdir ? { WorkingDir: `/work/${word}` } : {}),
          ...(volumes ? { Volumes: { [`/volumes/${word}`]: {}, '/both': {} } } : {}),
        },
      };
    });
  const options = fc
    .record({
      Env: some(['OWN=1', 'BOTH=own']),
      Cmd: some(['sleep', 'own']),
      Entrypoint: fc.constantFrom(undefined, undefined, ['/bin/own'], ['']),
      User: some('own'),
      Labels: some({ own: '1', both: 'own' }),
      ExposedPorts: some({ '7000/tcp': {} }),
      Healthcheck: fc.constantFrom(undefined, { Test: ['NONE'] }, { Test: ['CMD', 'own'] }, { Interval: 7_000_000_000 }),
      WorkingDir: some('/own'),
      Volumes: some({ '/own': {} }),
      StopSignal: some('SIGINT'),
      Hostname: some('own'),
      HostConfig: some({ PortBindings: { '7001/tcp': [{ HostPort: '' }] }, Binds: ['/etc:/both/'] }),
    })
    .map((record) => {
      // Without an entrypoint, Docker wants a command.
      const needsCommand = record.Entrypoint?.[0] === '' && record.Cmd === undefined;
      // As Docker's own command does: what is published is exposed.
      const ports = record.HostConfig && { ...record.ExposedPorts, '7001/tcp': {} };
      return given({ ...record, ...(ports && { ExposedPorts: ports }), ...(needsCommand ? { Cmd: ['sleep', 'own'] } : {}) });
    });
  return { options: options.map((each): Options => each), images };
}
