import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { loadConfiguration } from '../src/config/load.ts';
import { usualEvents } from '../src/config/people.ts';
import { planOf } from '../src/config/plans.ts';
import { failureTypes } from '../src/domain/failures.ts';
import { stepsOfBuilds } from '../src/domain/rollout-state.ts';
import { product } from '../src/product.ts';
import { load } from './config/support.ts';
import { documentedStart } from './support/documented-start.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
  ...readdirSync(join(root, 'actions')).map((name) => `actions/${name}/README.md`),
];
const read = (file: string) => readFileSync(join(root, file), 'utf8');

/** As GitHub makes the anchor of a heading. */
const anchorOf = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\- _]/gu, '')
    .replaceAll(' ', '-');

function anchorsIn(file: string): string[] {
  return [...read(file).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading));
}

/** Whether a relative link leads to a file that exists and, after `#`, to one of its headings. */
function leadsSomewhere(from: string, link: string): boolean {
  const [path = '', anchor] = link.split('#');
  const file = path === '' ? from : normalize(join(dirname(from), path));
  return existsSync(join(root, file)) && (anchor === undefined || anchorsIn(file).includes(anchor));
}

describe('the documents', () => {
  it('link to files and headings that exist', () => {
    const links = documents.flatMap((file) =>
      [...read(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => ({ file, link })),
    );
    const local = links.filter(({ link }) => !/^https?:/.test(link));
    assert.ok(local.length > 50);
    assert.deepEqual(
      local.filter(({ file, link }) => !leadsSomewhere(file, link)),
      [],
    );
  });

  it('name every input and output of each action in its folder', () => {
    for (const name of readdirSync(join(root, 'actions'))) {
      const { inputs, outputs } = parse(read(`actions/${name}/action.yml`)) as Record<'inputs' | 'outputs', object>;
      const readme = read(`actions/${name}/README.md`);
      for (const key of [...Object.keys(inputs), ...Object.keys(outputs)])
        assert.ok(readme.includes(`\`${key}\``), `${name}: ${key}`);
    }
  });

  it('have lines that fit on a screen, apart from tables and code', () => {
    const long = documents.flatMap((file) => {
      const prose = read(file).replace(/^ *```.*\n[\s\S]*?^ *```$/gm, '');
      return prose.split('\n').filter((line) => line.length > 140 && !line.startsWith('|'));
    });
    assert.deepEqual(long, []);
  });

  it('begin with a configuration that Landfall takes, also with what the README adds to it', () => {
    const [first = '', more = ''] = [...read('README.md').matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(([, text = '']) => text);
    const folder = mkdtempSync(join(tmpdir(), 'landfall-readme-'));
    try {
      for (const text of [first, first + more.replace(/^/gm, '    ')]) {
        const file = join(folder, 'landfall.yaml');
        writeFileSync(file, text);
        const loaded = loadConfiguration(file, {}, product, { secretsFor: [] });
        assert.ok('configuration' in loaded, JSON.stringify(loaded));
      }
      assert.match(more, /merge: auto/);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('name the events that a target is told of where its entry names none', () => {
    const own = product.notifiers.flatMap((notifier) => (notifier.usualEvents === undefined ? [] : [notifier.usualEvents]));
    const wordsOf = (text: string) => [...text.matchAll(/`([\w-]+)`/g)].map(([, word = '']) => word);
    for (const [file, begins] of [
      ['docs/configuration.md', /^.*Default: /s],
      ['docs/notifications.md', /^.*Without `events`, a target is told of /s],
    ] as const) {
      const [usual = '', ofGitHub = ''] = read(file).replace(begins, '').split(/\.\s/)[0]?.split(';') ?? [];
      assert.deepEqual(wordsOf(usual), usualEvents, file);
      assert.deepEqual([wordsOf(ofGitHub).filter((word) => word !== 'github')], own, file);
    }
  });

  it('name every step, and what to do about every failure that blocks one', () => {
    const text = read('docs/steps.md');
    const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
    const thrown = sources.flatMap((file) =>
      [...read(`src/${file}`).matchAll(/new (?:Refusal|CheckRefused)\(\s*'(\w+)'/g)].map(([, type = '']) => type),
    );
    assert.ok(thrown.includes('SmokeFailed'));
    const rows = new Set([...text.matchAll(/^\| `([\w-]+)` /gm)].map(([, name = '']) => name));
    const ofStages = ['verify', 'confirm', 'dispatch', 'propose', 'approve', 'merge', 'deploy', 'watch', 'rollback'];
    const wanted = new Set([...failureTypes, ...thrown, ...ofStages, ...product.checks.map(({ kind }) => kind)]);
    assert.deepEqual([...rows].sort(), [...wanted].sort());
    for (const step of stepsOfBuilds) assert.ok(text.includes(`\`${step}\``), step);
  });

  it('start with GitHub and Compose by six services that a person merges, and that are then deployed, watched and rolled back', () => {
    const { composeFile, configuration, lines } = documentedStart();
    const variables = lines.flatMap((line) => /^([A-Z_]+)=/.exec(line)?.[1] ?? []);
    const loaded = load(configuration, Object.fromEntries(variables.map((name) => [name, 'x'])), {
      secretsFor: ['api', 'worker'],
    });
    const { services } = parse(composeFile) as { services: Record<string, { image: string }> };
    assert.equal(Object.keys(services).length, 6);
    for (const [name, { image }] of Object.entries(services)) {
      const plan = planOf(loaded, name);
      assert.equal(`${plan?.repository}:latest`, image);
      assert.deepEqual(plan?.tags, { kind: 'exact', tags: ['latest'] });
      assert.deepEqual(
        plan?.checks.map(({ kind }) => kind),
        ['scan', 'smoke'],
      );
      const [{ change, deploy, rollback, watch, approval } = assert.fail()] = plan?.stages ?? [];
      assert.deepEqual(
        [change?.repository, change?.merge, rollback, approval],
        ['pitchconnect/deployment', 'manual', 'auto', undefined],
      );
      assert.deepEqual([deploy?.kind, watch?.forMs], ['compose', 120_000]);
      assert.deepEqual(Reflect.get(deploy?.settings ?? {}, 'services'), [name]);
    }
    assert.equal(loaded.services.length, 6);
    // Least rights: each variable is asked for, and none besides.
    assert.deepEqual([...new Set(configuration.match(/(?<=env:)\w+/g))].sort(), [...variables].sort());
    assert.match(lines.find((line) => line.startsWith('sed ')) ?? '', /merge: manual/);
  });
});
