import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { product } from '../../src/product.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The names of the kinds, by the room that has a folder for each. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  sources: product.sources.map(({ name }) => name),
  checks: product.checks.map(({ kind }) => kind),
  deploys: product.deploys.map(({ kind }) => kind),
  forges: product.forges.map(({ kind }) => kind),
  notifiers: product.notifiers.map(({ kind }) => kind),
};

/** Names that are words for other things, too: claims of a login, programs, places of a change, probes, proofs, payloads, GitHub's own account. */
const alsoWords = [
  'compose',
  'deployment',
  'docker',
  'email',
  'event',
  'git',
  'github',
  'kubernetes',
  'quay',
  'webhook',
  'workflow',
];

/** A file with what its code has in quotes; what stands in comments and in longer texts is for people. */
function namedIn(file: string, text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const quoted = new Set([...code.matchAll(/(['"`])([\w-]+)\1/g)].map(([, , word]) => word));
  return Object.entries(rooms).flatMap(([room, names]) =>
    file.startsWith(`src/${room}/`) ? [] : names.filter((name) => quoted.has(name) && !alsoWords.includes(name)),
  );
}

/** Where it asks which kind one of a plan is, whatever the name. */
function askedIn(text: string): string[] {
  return [...text.matchAll(/\b(?:check|deploy|notifier|forge|source)\w*\??\.kind\s*[!=]==?\s*['"`][\w-]+['"`]/gi)].map(
    ([all]) => all,
  );
}

/** What it imports of the folder of a kind, from outside of its room or as the list of that room. */
function importedIn(file: string, text: string): string[] {
  return [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].flatMap(([, specifier = '']) => {
    const target = normalize(join(dirname(file), specifier));
    const [, room = '', folder = '', ...rest] = target.split('/');
    const isOfKind = rooms[room] !== undefined && rest.length > 0 && folder !== 'kit';
    return isOfKind && (!file.startsWith(`src/${room}/`) || rest.join('/') === 'index.ts') ? [target] : [];
  });
}

describe('the files of the product', () => {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ file: `src/${name}`, text: readFileSync(join(root, 'src', name), 'utf8') }));

  it('name no kind outside of its room', () => {
    assert.deepEqual(
      files.flatMap(({ file, text }) => namedIn(file, text).map((name) => `${file} names ${name}`)),
      [],
    );
    assert.deepEqual(namedIn('src/cli/show.ts', "if (step === 'scan' || to === 'slack') {}\n// 'smoke'"), ['scan', 'slack']);
  });

  it('never ask which kind one is', () => {
    assert.deepEqual(
      files.flatMap(({ file, text }) => askedIn(text).map((question) => `${file}: ${question}`)),
      [],
    );
    assert.deepEqual(askedIn("stage.deploy?.kind === 'compose' && notifier.kind !== 'x'").length, 2);
  });

  it('import what is in the folder of a kind in one place: the list of its room, one line each', () => {
    const imported = files.flatMap(({ file, text }) => importedIn(file, text).map((target) => ({ file, target })));
    assert.deepEqual(
      imported.filter(({ file, target }) => file !== `src/${target.split('/')[1]}/index.ts`),
      [],
    );
    const count = Object.values(rooms).flat().length;
    assert.equal(imported.length, count, 'a line for each kind');
    assert.deepEqual(importedIn('src/cli/show.ts', "import { a } from '../deploys/compose/plan.ts';"), [
      'src/deploys/compose/plan.ts',
    ]);
  });
});
