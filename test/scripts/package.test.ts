// Needs the network: it installs a package with its dependencies.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageFile from '../../package.json' with { type: 'json' };
import { builtDist } from '../../scripts/setup/build.mjs';
import { startLandfall } from '../support/landfall.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const configuration = `
listen: { webhooks: 127.0.0.1:0, operators: 127.0.0.1:0 }
services: [{ image: ghcr.io/team/app }]
`;

describe('the npm package', function () {
  this.timeout(180_000);
  let folder: string;
  /** An empty folder, but for the package that was installed into it. */
  let user: string;
  let installed: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-package-'));
    user = join(folder, 'user');
    installed = join(user, 'node_modules', 'landfall');
    await mkdir(user);
    // A package.json keeps npm from installing into a folder above.
    await writeFile(join(user, 'package.json'), '{}');
    const tarball = join(await packed(), `landfall-${packageFile.version}.tgz`);
    npm(['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], user);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /**
   * Packs a copy: packing builds `dist`, which other tests would run if it were in this checkout. Where `npm test` has built the service
   * already, that build is taken.
   */
  async function packed(): Promise<string> {
    const copy = join(folder, 'copy');
    await mkdir(copy);
    const left = ['.git', 'node_modules', 'dist', 'test', 'data', 'artifacts'];
    const copied = (await readdir(root)).filter((name) => !left.includes(name));
    await Promise.all(copied.map((name) => cp(join(root, name), join(copy, name), { recursive: true })));
    const built = builtDist(root);
    if (built === undefined) await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
    else await cp(built, join(copy, 'dist'), { recursive: true });
    npm(built === undefined ? ['pack'] : ['pack', '--ignore-scripts'], copy);
    return copy;
  }

  function npm(words: readonly string[], cwd: string): void {
    execFileSync('npm', words, { cwd, encoding: 'utf8', stdio: 'pipe' });
  }

  function landfall(...words: string[]): { status: number | null; stdout: string; stderr: string } {
    const command = join(user, 'node_modules', '.bin', 'landfall');
    return spawnSync(command, words, { cwd: user, encoding: 'utf8', env: { PATH: process.env.PATH } });
  }

  it('holds the build and what is read, but neither sources nor tests nor set-up', async () => {
    const expected = ['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'docs', 'examples', 'package.json', 'scripts'];
    assert.deepEqual((await readdir(installed)).sort(), expected);
    assert.deepEqual(await readdir(join(installed, 'scripts')), ['start.mjs']);
    assert.deepEqual(
      (await readdir(join(installed, 'dist'))).filter((name) => /\.ts$/.test(name)),
      [],
    );
  });

  it('is built anew before it is packed', () => {
    const { prepack, build } = packageFile.scripts;
    assert.match(prepack, /&& npm run build$/);
    assert.match(
      build,
      /&& rm -rf dist && tsc .* && node scripts\/bundle-workflows\.ts dist\/workflow-bundle\.js && node scripts\/bundle-programs\.mjs$/,
    );
  });

  it('has the command, with its version and help', () => {
    const { stdout: version } = landfall('--version');
    assert.equal(version, `${packageFile.version}\n`);
    const { status, stdout, stderr } = landfall('--help');
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^Usage: landfall \[options\] \[command\]\n[\s\S]*\n {2}rollback /);
  });

  it('checks a configuration', async () => {
    await writeFile(join(user, 'good.yaml'), configuration);
    await writeFile(join(user, 'bad.yaml'), configuration.replace('services', 'service'));
    const good = landfall('config', 'check', 'good.yaml');
    assert.equal(good.status, 0, good.stderr);
    const bad = landfall('config', 'check', 'bad.yaml');
    assert.equal(bad.status, 1);
    assert.match(bad.stdout + bad.stderr, /^bad\.yaml:3: .*did you mean services\?/m);
  });

  it('serves with a Temporal server of its own, and ends with 0', async () => {
    await writeFile(join(user, 'landfall.yaml'), configuration);
    const env = { TEMPORAL_ADDRESS: '', SOME_TOKEN: 'hunter2' };
    const running = await startLandfall(user, env, 'shipped', [join(installed, 'scripts/start.mjs')]);
    // Nor does what it starts find its secrets.
    if (process.platform === 'linux')
      assert.doesNotMatch(await readFile(`/proc/${running.pid}/environ`, 'utf8'), /SOME_TOKEN|hunter2/);
    assert.match(running.output(), /Landfall serves 1 service of /);
    assert.equal(await running.stop(), 0, running.output());
  });

  it('says in one line which Node it needs, where that of the machine is older', async () => {
    const preload = join(folder, 'old.cjs');
    await writeFile(preload, `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });`);
    for (const program of ['bin/landfall.mjs', 'scripts/start.mjs']) {
      const { status, stderr } = spawnSync(process.execPath, ['--require', preload, join(installed, program)], {
        encoding: 'utf8',
      });
      assert.match(stderr, /^Landfall needs Node 22\.19 or later, and this is 20\.20\.2: .*\n$/);
      assert.equal(status, 1);
    }
  });
});
