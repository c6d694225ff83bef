import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildService, builtDist, serviceProgram } from '../../scripts/setup/build.mjs';
import { commandOfClone } from '../../scripts/setup/command.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Of a package or of a file of ours. */
const nameOf = (url: string) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? /\/(src\/.*)/.exec(url)?.[1] ?? url;

/** Imports files of `src`, step by step, in a process of their own. @returns for each step the packages and files that it has loaded */
async function loadedBy(...steps: readonly (readonly string[])[]): Promise<string[][]> {
  const program = `
    import { registerHooks } from 'node:module';
    let seen = [];
    registerHooks({ resolve(name, context, next) { const found = next(name, context); seen.push(found.url); return found; } });
    for (const step of ${JSON.stringify(steps)}) {
      for (const file of step) await import(new URL(file, ${JSON.stringify(new URL('../../src/', import.meta.url).href)}));
      console.log(JSON.stringify(seen));
      seen = [];
    }`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: root,
    maxBuffer: 64 * 1024 ** 2,
  });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => [...new Set((JSON.parse(line) as string[]).map(nameOf))]);
}

/** Runs a program where there is no configuration that is one. */
async function filesLoadedBy(...words: readonly string[]) {
  const count = `
    import { registerHooks } from 'node:module';
    const files = [];
    registerHooks({ load(url, context, next) { files.push(url); return next(url, context); } });
    process.on('exit', () => console.log(JSON.stringify(files.filter((url) => url.startsWith('file:')))));`;
  const cwd = await mkdtemp(join(tmpdir(), 'landfall-loading-'));
  await writeFile(join(cwd, 'landfall.yaml'), 'nonsense');
  const env = { PATH: process.env.PATH, HOME: process.env.HOME };
  const counted = ['--import', `data:text/javascript,${encodeURIComponent(count)}`, ...words];
  const { stdout, stderr } = spawnSync(process.execPath, counted, { cwd, env, encoding: 'utf8' });
  await rm(cwd, { recursive: true });
  const files: string[] = JSON.parse(stdout);
  const packages = files.filter((url) => url.includes('/node_modules/') && !url.includes('/node_modules/.cache/'));
  return { files, packages, stderr };
}

function assertWithout(loaded: readonly string[] | undefined, ...names: readonly string[]): void {
  assert.ok(loaded !== undefined && loaded.length > 10);
  assert.deepEqual(
    names.filter((name) => loaded.includes(name)),
    [],
  );
}

/** Kinds load it when the dependencies of steps are made, at each start. */
const whatWorkersMake = ['notifiers/email/notifier.ts', 'forges/github/pull-request.ts', 'platform/github/client.ts'];

/** Only where traces are asked for. */
const tracing = ['src/process/tracing.ts', 'src/telemetry/tracing/tracer.ts', 'src/telemetry/tracing/exporter.ts'];

describe('what is loaded', function () {
  this.timeout(60_000);

  it('until the Temporal server starts is what reads the configuration; what reads certificates, mail and GitHub wait until they are used', async () => {
    const [first, second] = await loadedBy(
      ['process/service.ts', 'product.ts'],
      ['process/ingress.ts', 'process/workers.ts', 'process/schedules.ts', ...whatWorkersMake],
    );
    assertWithout(first, '@temporalio/client', '@temporalio/worker', '@grpc/grpc-js', 'koa', 'octokit', 'nodemailer', ...tracing);
    assert.ok(second?.includes('@temporalio/worker') && second.includes('koa'));
    assertWithout(second, 'octokit', 'nodemailer', '@peculiar/asn1-x509', ...tracing);
  });

  it('by the command before it knows what is asked are words, and no schema and nothing of Temporal', async () => {
    const [loaded] = await loadedBy(['cli/main.ts']);
    assertWithout(loaded, 'zod', 'yaml', 're2js', '@temporalio/client', '@temporalio/common', 'src/operations/index.ts');
  });

  it('by a command that asks the API is nothing of Temporal, and nothing that reads a configuration', async () => {
    const [loaded] = await loadedBy(['cli/main.ts', 'remote/index.ts', 'operations/inputs.ts', 'operations/following.ts']);
    assert.ok(loaded?.includes('undici') && loaded.includes('zod'));
    assertWithout(loaded, 'yaml', 're2js', '@temporalio/client', '@temporalio/common', '@temporalio/workflow', '@grpc/grpc-js');
    assertWithout(loaded, 'src/operations/index.ts', 'src/config/load.ts', 'src/config/kinds.ts', 'src/product.ts');
  });

  // Time would tell of the machine as much as of the command: found and read one by one, these were 620 modules, and 1 s in place of 0.3 s.
  it('by landfall list is its bundle, in few files and without a package', async () => {
    // The first call after a change makes it.
    await commandOfClone(root);
    const { files, packages, stderr } = await filesLoadedBy(join(root, 'bin/landfall.mjs'), 'list');
    assert.match(stderr, /^Landfall does not run from /);
    assert.deepEqual([packages, files.length < 100], [[], true], files.join('\n'));
  });

  // 1,900 modules, and a third of the processor time of a start.
  it('by the service that ships is its bundle, and of the packages the logger and what workflows are written with', async () => {
    await buildService(root, { env: process.env, say: () => undefined });
    const { files, packages, stderr } = await filesLoadedBy(join(builtDist(root) ?? assert.fail('it is built'), serviceProgram));
    assert.match(stderr, /landfall\.yaml:1: expected/);
    const names = new Set(packages.map(nameOf));
    for (const heavy of ['zod', 'yaml', 'undici', 'jose', '@temporalio/client', '@temporalio/worker'])
      assert.ok(!names.has(heavy), heavy);
    assert.ok(files.length < 250, `${files.length}: ${[...names]}`);
    assert.deepEqual(
      files.filter((url) => url.includes('/src/') && !url.includes('/node_modules/@')),
      [],
    );
  });

  it('by the command are the kinds only where the configuration is read', async () => {
    const [loaded] = await loadedBy(['cli/main.ts', 'operations/index.ts']);
    assert.ok(loaded?.includes('@temporalio/client'));
    assertWithout(
      loaded,
      'src/product.ts',
      'src/config/service.ts',
      'temporal-polyfill',
      '@temporalio/worker',
      'dockerode',
      'koa',
      'octokit',
    );
  });
});
