import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { currentVersions, engineModule, programs } from '../../scripts/setup/current-engine.mjs';
import { takeEngine } from '../../scripts/setup/engine-choice.mjs';
import { kubernetes, kubernetesVersion } from '../../scripts/setup/kubernetes.mjs';
import { SetUpFailure } from '../../scripts/setup/machine.mjs';
import { findProcesses, identify } from '../../src/platform/processes/identity.ts';
import { ensureDocker } from '../support/docker.ts';
import { eventually } from '../support/wait.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('--engine', () => {
  it('is taken out of the arguments, wherever it stands', () => {
    assert.deepEqual(takeEngine(['--grep', 'a b', 'x.test.ts']), { rest: ['--grep', 'a b', 'x.test.ts'] });
    assert.deepEqual(takeEngine(['--engine', '29', 'x.test.ts']), { engine: '29', rest: ['x.test.ts'] });
    assert.deepEqual(takeEngine(['x.test.ts', '--engine=29', '--bail']), { engine: '29', rest: ['x.test.ts', '--bail'] });
    assert.deepEqual(takeEngine(['--engine', 'debian']), { engine: 'debian', rest: [] });
  });

  it('without a name, or with another, is refused with the names that there are', () => {
    for (const [args, found] of [
      [['--engine'], 'none'],
      [['--engine='], 'none'],
      [['--engine', '28'], "'28'"],
      [['--engine', '29', '--engine=debian'], 'more than one'],
    ] as const) {
      assert.throws(
        () => takeEngine(args),
        (error) =>
          error instanceof SetUpFailure &&
          error.message.includes(`found ${found}:`) &&
          /--engine debian .*\n.*--engine 29 /.test(error.message),
      );
    }
  });

  it('is refused before anything is set up, by the tests and the demo alike', () => {
    for (const script of ['test.mjs', 'demo.mjs']) {
      const { status, stderr } = spawnSync(process.execPath, [join(root, 'scripts', script), '--engine', '28'], {
        encoding: 'utf8',
      });
      assert.equal(status, 1);
      assert.match(stderr, /^--engine expects the name of one of these engines, found '28':\n/);
    }
  });

  it('29 is pinned, each of its programs, by its own module', async () => {
    const pinned = await readFile(join(engineModule, 'go.mod'), 'utf8');
    for (const { name, from } of programs) assert.match(pinned, new RegExp(`^\\t${from}$`, 'm'), name);
    assert.match(pinned, new RegExp(`^\\tgithub.com/docker/compose/v5 v${currentVersions.compose} `, 'm'));
  });

  it('and the Kubernetes of the tests are one version each, in all that their modules name', async () => {
    const pinned = await readFile(join(kubernetes.module, 'go.mod'), 'utf8');
    for (const { name, from } of kubernetes.programs) assert.match(pinned, new RegExp(`^\\t${from}$`, 'm'), name);
    assert.match(pinned, new RegExp(`^require k8s.io/kubernetes v${kubernetesVersion}$`, 'm'));
    const replaced = [...pinned.matchAll(/^\tk8s\.io\/\S+ => k8s\.io\/\S+ v(\S+)$/gm)].map(([, version]) => version);
    assert.deepEqual([...new Set(replaced)], [kubernetesVersion.replace(/^1/, '0')]);
  });

  it('29 is what the tests run on where they were told so', async () => {
    const docker = await ensureDocker();
    const [version, info] = await Promise.all([docker.version(), docker.info()]);
    const isContainerds = JSON.stringify(info.DriverStatus).includes('io.containerd.snapshotter');
    const isCurrent = version.Version === currentVersions.docker && isContainerds;
    if (process.env.LANDFALL_ENGINE === '29')
      assert.ok(isCurrent, `found ${version.Version}, ${JSON.stringify(info.DriverStatus)}`);
    else assert.ok(version.Version);
  });
});

// Namespaces need Linux, and root.
if (process.platform === 'linux' && process.getuid?.() === 0) {
  describe('what runs apart from the machine', () => {
    /** Runs a script of Node apart, from a process that can be killed. */
    function runApart(script: string) {
      const module = new URL('../../scripts/setup/engine-run.mjs', import.meta.url).href;
      const outer = `const { runApart } = await import('${module}'); process.exitCode = await runApart(['-e', process.argv[1]], process.env);`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', outer, script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      let said = '';
      child.stdout.on('data', (chunk) => {
        said += chunk;
      });
      return { child, said: () => said, hasSaid: (word: string) => eventually(word, async () => said.includes(word)) };
    }

    it('has a network, processes and mounts of its own, and gives its exit code', async () => {
      const script = `
        const { spawnSync } = require('node:child_process');
        console.log(Object.keys(require('node:os').networkInterfaces()).join(), process.ppid);
        spawnSync('mount', ['-t', 'tmpfs', 'landfall-test', '/mnt']);
        process.exitCode = 7; process.disconnect();`;
      const { child, said } = runApart(script);
      const [code] = await once(child, 'close');
      assert.equal(code, 7);
      assert.equal(said(), ' 1\n');
      assert.doesNotMatch(await readFile('/proc/mounts', 'utf8'), /landfall-test/);
    });

    it('hears of a SIGTERM, and of the death of whoever started it', async () => {
      const script = `
        process.on('message', (signal) => { console.log(signal); });
        process.on('disconnect', () => { console.log('alone'); process.exit(); });
        console.log('ready');`;
      const { child, hasSaid } = runApart(script);
      await hasSaid('ready');
      child.kill('SIGTERM');
      await hasSaid('SIGTERM');
      child.kill('SIGKILL');
      await hasSaid('alone');
    });

    it('leaves no process behind, even of its own session, when the first one in there is killed', async () => {
      const marker = `landfall-apart-${process.pid}`;
      const script = `
        const { spawn } = require('node:child_process');
        spawn('sh', ['-c', 'sleep 600; true', '${marker}'], { detached: true, stdio: 'ignore' });
        console.log('ready');`;
      const { child, hasSaid } = runApart(script);
      const exited = once(child, 'exit');
      await hasSaid('ready');
      const [daemon] = (await findProcesses(marker)).filter(({ command }) => command.startsWith('sh -c sleep'));
      assert.ok(daemon);
      const [unshare] = (await readFile(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')).split(' ');
      process.kill(Number(unshare), 'SIGKILL');
      await exited;
      await eventually('the daemon to be gone', async () => (await identify(daemon.pid)) === undefined);
    });
  });
}
