// Needs the network: Node comes from a package registry.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { isNodeNewEnough } from '../../bin/node-version.mjs';
import { SetUpFailure } from '../../scripts/setup/machine.mjs';
import { obtainNode, pinnedNode } from '../../scripts/setup/node.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const packageFile = z.object({ engines: z.object({ node: z.string() }), scripts: z.record(z.string(), z.string()) });

describe('Node', function () {
  this.timeout(120_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-node-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const context = () => ({ env: { ...process.env, LANDFALL_CACHE: join(folder, 'cache') }, say: () => undefined });

  it('is new enough from the version on that package.json says, and the one that set-up brings is', async () => {
    const { engines } = packageFile.parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')));
    assert.equal(engines.node, '>=22.19');
    const versions = ['18.20.8', '20.20.2', '22.0.0', '22.18.9', '22.19.0', '22.20.1', '24.0.0', pinnedNode.version, '26.1.0'];
    assert.deepEqual(versions.filter(isNodeNewEnough), versions.slice(4));
  });

  it('comes from npm into the tool cache, once, and runs', async () => {
    // Elsewhere it is refused, see below.
    if (!(`${process.platform}-${process.arch}` in pinnedNode.integrity)) return;
    const where = await obtainNode(context());
    assert.equal(where, join(folder, 'cache', `node-${pinnedNode.version}`));
    const { stdout } = spawnSync(join(where, 'node'), ['--version'], { encoding: 'utf8' });
    assert.equal(stdout, `v${pinnedNode.version}\n`);
    assert.deepEqual(await readdir(join(folder, 'cache')), [`node-${pinnedNode.version}`]);
    const said: string[] = [];
    assert.equal(await obtainNode({ ...context(), say: (line) => said.push(line) }), where);
    assert.deepEqual(said, []);
  });

  it('is refused where it is not what is pinned, and nothing of it is kept', async () => {
    const integrity = Object.fromEntries(Object.keys(pinnedNode.integrity).map((platform) => [platform, 'sha512-another']));
    const obtained = obtainNode(context(), { ...pinnedNode, integrity });
    await assert.rejects(
      obtained,
      (error) => error instanceof SetUpFailure && /expected sha512-another, found/.test(error.message),
    );
    assert.deepEqual(await readdir(join(folder, 'cache')), []);
  });

  it('has to be installed by a person on a platform that npm has none for', async () => {
    const obtained = obtainNode(context(), { ...pinnedNode, integrity: {} });
    await assert.rejects(obtained, /needs Node 22\.19 or later, and this is .* npm has none for .*: install it \(https:/);
  });

  it('begins every command of package.json', async () => {
    const { scripts } = packageFile.parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')));
    for (const [name, command] of Object.entries(scripts)) assert.match(command, /^\. scripts\/node\.sh && /, name);
  });

  /** A machine whose Node says that it is an old one, and whose tool cache has a newer one, which only says what it was started with. */
  async function oldMachine(): Promise<NodeJS.ProcessEnv> {
    const [old, newer] = [join(folder, 'bin'), join(folder, 'cache', `node-${pinnedNode.version}`)];
    await mkdir(old);
    await mkdir(newer, { recursive: true });
    const preload = join(folder, 'old.cjs');
    await writeFile(preload, `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });`);
    await writeFile(join(old, 'node'), `#!/bin/sh\nexec ${process.execPath} --require ${preload} "$@"\n`);
    await writeFile(join(newer, 'node'), `#!/bin/sh\necho "newer: $*"\nexit 7\n`);
    for (const file of [join(old, 'node'), join(newer, 'node')]) await chmod(file, 0o755);
    return { ...context().env, PATH: `${old}:${process.env.PATH}` };
  }

  it('is brought and gone on with by npm, with arguments and exit code, where that of the machine is too old', async () => {
    const env = await oldMachine();
    const { status, stdout, stderr } = spawnSync('npm', ['test', '--', 'test/a.test.ts', '--grep', 'a b'], {
      cwd: root,
      env,
      encoding: 'utf8',
    });
    assert.match(stdout, /newer: scripts\/test\.mjs test\/a\.test\.ts --grep a b\n$/, stderr);
    assert.equal(status, 7);
  });

  it('is gone on with by the command, too', async () => {
    const env = await oldMachine();
    const launcher = join(root, 'bin/landfall.mjs');
    const { status, stdout, stderr } = spawnSync('node', [launcher, 'show', 'a b'], { cwd: folder, env, encoding: 'utf8' });
    assert.equal(stdout, `newer: ${launcher} show a b\n`, stderr);
    assert.equal(status, 7);
  });

  it('is asked for in one line where it is too old and npm did not start the service', async () => {
    const env = await oldMachine();
    const { status, stderr } = spawnSync('node', [join(root, 'scripts/start.mjs')], { cwd: folder, env, encoding: 'utf8' });
    assert.match(stderr, /^Landfall needs Node 22\.19 or later, and this is 20\.20\.2: 'npm start'.*\n$/);
    assert.equal(status, 1);
  });

  it('leaves PATH as it is where it is new enough', () => {
    const { stdout, stderr } = spawnSync('sh', ['-c', '. scripts/node.sh && echo "$PATH"'], { cwd: root, encoding: 'utf8' });
    assert.equal(stdout, `${process.env.PATH}\n`, stderr);
  });
});
