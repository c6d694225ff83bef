import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { checkTree, importsOf, problemsOf, roomCircles } from '../../scripts/check-imports.mjs';

const messageOf = (file: string, text: string) => problemsOf(file, text).map(({ line, message }) => `${line}: ${message}`);

describe('the dependency rules', () => {
  it('hold in this tree', () => {
    assert.deepEqual(checkTree(fileURLToPath(new URL('../..', import.meta.url))), []);
  });

  const refused: [file: string, text: string, message: RegExp][] = [
    ['src/domain/plan.ts', "import { a } from '../config/load.ts';", /src\/domain may import nothing of ours/],
    ['src/domain/plan.ts', "import { readFile } from 'node:fs';", /may not import 'node:fs' at run time/],
    [
      'src/config/load.ts',
      "import type { A } from '../platform/a.ts';",
      /src\/config may import domain, settings, http, sources, checks, deploys, forges, notifiers, builds; found/,
    ],
    [
      'src/config/load.ts',
      "import { a } from '../api/app.ts';",
      /src\/config may import domain, settings, http, sources, checks, deploys, forges, notifiers, builds; found/,
    ],
    ['src/platform/a.ts', "export { a } from '../contracts/messages.ts';", /src\/platform may import domain; found/],
    ['src/activities/scan.ts', "import '../workflows/rollout.ts';", /src\/activities may import domain, platform/],
    [
      'src/workflows/rollout/rollout.ts',
      "import { scan } from '../../activities/scan.ts';",
      /workflows may import domain, contracts; found/,
    ],
    [
      'src/workflows/rollout/rollout.ts',
      "import type { A } from '../../activities/scan.ts';",
      /workflows may import domain, contracts; found/,
    ],
    ['src/workflows/rollout/rollout.ts', "import { hostname } from 'node:os';", /src\/workflows may not import 'node:os'/],
    ['src/api/app.ts', "import { rollout } from '../workflows/rollout.ts';", /src\/api may import domain, config/],
    [
      'src/cli/main.ts',
      "import { Client } from '@temporalio/client';",
      /src\/cli may not import '@temporalio\/client' at run time/,
    ],
    [
      'src/operations/trigger.ts',
      "import { Command } from 'commander';",
      /src\/operations may not import 'commander' at run time/,
    ],
    [
      'src/operations/trigger.ts',
      "import { plain } from '../cli/terminal.ts';",
      /src\/operations may import domain, config, settings, contracts; found/,
    ],
    ['src/cli/main.ts', "const a = await import('../../worker.ts');", /nothing may import worker\.ts/],
    ['src/api/app.ts', "import { startService } from '../process/service.ts';", /src\/api may import domain, config/],
    ['scripts/demo.ts', "import '../worker.ts';", /nothing may import worker\.ts/],
    ['src/api/app.ts', "import { a } from '../../test/support/a.ts';", /which is outside of it/],
    ['src/api/app.ts', 'const token = process.env.TOKEN;', /only src\/config reads process\.env/],
    ['src/other/a.ts', "import { b } from '../domain/b.ts';", /has no rule in scripts\/check-imports\.mjs/],
  ];
  for (const [file, text, message] of refused) {
    it(`refuse in ${file}: ${text}`, () => {
      const [problem, ...more] = messageOf(file, `// a comment\n${text}\n`);
      assert.match(problem ?? 'no problem', message);
      assert.match(problem ?? '', /^2: /);
      assert.deepEqual(more, []);
    });
  }

  const allowed: [file: string, text: string][] = [
    ['src/domain/plan.ts', "import type { A } from './a.ts';\nimport { parse } from 'yaml';"],
    ['src/workflows/rollout/rollout.ts', "import type { Activities } from '../contracts/activities/index.ts';"],
    [
      'src/workflows/rollout/rollout.ts',
      "import type { Client } from '@temporalio/client';\nimport { sleep } from '@temporalio/workflow';",
    ],
    ['src/api/app.ts', "import {\n  stateQuery,\n} from '../contracts/messages.ts';"],
    ['src/settings/environment.ts', 'const all = process.env;'],
    ['src/api/app.ts', '  // process.env is read elsewhere'],
    ['worker.ts', "import { a } from './src/platform/a.ts';\nprocess.env.A;"],
  ];
  for (const [file, text] of allowed) {
    it(`allow in ${file}: ${text.split('\n')[0]}`, () => {
      assert.deepEqual(messageOf(file, text), []);
    });
  }

  it('see imports over several lines, with their line', () => {
    assert.deepEqual(importsOf("import {\n  a,\n} from './a.ts';\nexport type { B } from './b.ts';\n"), [
      { specifier: './a.ts', typeOnly: false, line: 3 },
      { specifier: './b.ts', typeOnly: true, line: 4 },
    ]);
  });

  it('find a circle between rooms, also over three of them and of types alone', () => {
    const sources = new Map([
      ['src/domain/a.ts', "import { b } from '../platform/b.ts';"],
      ['src/platform/b.ts', "\nimport type { C } from '../deploys/kind/c.ts';"],
      ['src/deploys/kind/c.ts', "import { a } from '../../domain/a.ts';\nimport './d.ts';"],
    ]);
    const [problem, ...more] = roomCircles(sources);
    assert.deepEqual(problem, {
      file: 'src/deploys/kind/c.ts',
      line: 1,
      message: "'../../domain/a.ts' closes a circle between rooms: domain -> platform -> deploys -> domain",
    });
    assert.deepEqual(more, []);
  });

  it('find none where all imports go one way', () => {
    const sources = new Map([
      ['src/api/a.ts', "import { b } from '../domain/b.ts';\nimport './c.ts';"],
      ['src/platform/b.ts', "import type { C } from '../domain/c.ts';"],
    ]);
    assert.deepEqual(roomCircles(sources), []);
  });
});
