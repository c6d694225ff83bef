import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('../..', import.meta.url));

describe('the lint of promises', function () {
  this.timeout(30_000);

  /** What stands between the braces of a function is planted; each of them is to be found, and nothing else. */
  const planted: readonly (readonly [claim: string, code: string])[] = [
    ['a call that nobody waits for', 'docker.ping();'],
    ["one of Node's own", "readFile('x');"],
    ['one that may not be made', 'ingress?.stop();'],
    ['many of them', 'names.map(async (name) => readFile(name));'],
    ['a chain without an end', "readFile('x').then(() => 1);"],
    ['a listener that is an async function', "process.on('SIGHUP', async () => void (await docker.ping()));"],
    ['a timer of the kind', "setTimeout(() => readFile('x'), 1);"],
    ['a condition that is always true', 'if (docker.ping()) names.pop();'],
  ];
  const fine = ['await docker.ping();', "void readFile('x').catch(() => undefined);", 'names.push("x");'];

  it('is part of npm run check, and finds each kind that is planted, by its line', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-lint-'));
    try {
      await symlink(join(checkout, 'node_modules'), join(folder, 'node_modules'));
      const settings = { extends: join(checkout, 'tsconfig.json'), include: ['worker.ts'] };
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(settings));
      const head = [
        "import { readFile } from 'node:fs/promises';",
        "import type Docker from 'dockerode';",
        'export async function plant(docker: Docker, names: string[], ingress?: { stop(): Promise<void> }): Promise<void> {',
      ];
      await writeFile(join(folder, 'worker.ts'), [...head, ...planted.map(([, code]) => code), ...fine, '}'].join('\n'));
      const oxlint = join(checkout, 'node_modules/.bin/oxlint');
      const config = join(checkout, '.oxlintrc.json');
      const { stdout, status } = spawnSync(oxlint, ['--config', config, '--format', 'unix', 'worker.ts'], {
        cwd: folder,
        encoding: 'utf8',
      });
      const found = [...stdout.matchAll(/^worker\.ts:(\d+):/gm)].map(([, line]) => Number(line));
      const missed = planted.filter((_, index) => !found.includes(head.length + index + 1)).map(([claim]) => claim);
      assert.deepEqual(missed, [], stdout);
      assert.equal(new Set(found).size, planted.length, stdout);
      assert.equal(status, 1);
      const { scripts } = JSON.parse(await readFile(join(checkout, 'package.json'), 'utf8'));
      assert.match(scripts.check, /&& oxlint &&/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('finds a circle between two files, of types alone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-lint-'));
    try {
      await symlink(join(checkout, 'node_modules'), join(folder, 'node_modules'));
      await writeFile(join(folder, 'a.ts'), "import type { B } from './b.ts';\nexport type A = B | 1;\n");
      await writeFile(join(folder, 'b.ts'), "import type { A } from './a.ts';\nexport type B = A | 2;\n");
      const oxlint = join(checkout, 'node_modules/.bin/oxlint');
      const rules = ['--config', join(checkout, '.oxlintrc.json'), '--format', 'unix'];
      const { stdout, status } = spawnSync(oxlint, [...rules, 'a.ts', 'b.ts'], { cwd: folder, encoding: 'utf8' });
      assert.match(stdout, /^a\.ts:1:.*cycle/im);
      assert.equal(status, 1);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
