import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));

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
  const nameOf = (url: string) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? /\/(src\/.*)/.exec(url)?.[1] ?? url;
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => [...new Set((JSON.parse(line) as string[]).map(nameOf))]);
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

describe('what is loaded', function () {
  this.timeout(60_000);

  it('until the Temporal server starts is what reads the configuration; what reads certificates, mail and GitHub wait until they are used', async () => {
    const [first, second] = await loadedBy(
      ['process/service.ts', 'product.ts'],
      ['process/ingress.ts', 'process/workers.ts', 'process/schedules.ts', ...whatWorkersMake],
    );
    assertWithout(first, '@temporalio/client', '@temporalio/worker', '@grpc/grpc-js', 'koa', 'octokit', 'nodemailer');
    assert.ok(second?.includes('@temporalio/worker') && second.includes('koa'));
    assertWithout(second, 'octokit', 'nodemailer', '@peculiar/asn1-x509');
  });

  it('by the command are the kinds only where the configuration is read', async () => {
    const [loaded] = await loadedBy(['cli/main.ts', 'operations/index.ts']);
    assert.ok(loaded?.includes('@temporalio/client'));
    assertWithout(loaded, 'src/product.ts', 'src/sources/index.ts', '@temporalio/worker', 'dockerode', 'koa', 'octokit');
  });
});
