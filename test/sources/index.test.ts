import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { product } from '../../src/product.ts';

describe('the list of sources', () => {
  it('has the folder of every source, by its name, and nothing else', () => {
    const folders = readdirSync(new URL('../../src/sources/', import.meta.url), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'kit')
      .map(({ name }) => name);
    assert.deepEqual(product.sources.map(({ name }) => name).sort(), folders.sort());
  });

  it('is the table of docs/webhooks.md, by the paths that the descriptions of their settings name', () => {
    const described = product.sources.flatMap(({ name, settings }) => {
      const paths = pathsIn(settings(() => undefined).description ?? '');
      assert.notEqual(paths.length, 0, `expected the settings of ${name} to say where it is reached: POST /PATH`);
      return paths;
    });
    assert.deepEqual([...new Set(described)].sort(), documented().sort());
  });

  it('has examples for the starter that its own schemas take', () => {
    const examples = product.sources.filter(({ example }) => example !== undefined).map(({ name }) => name);
    assert.deepEqual(examples, ['github', 'distribution', 'quay']);
  });
});

/** `POST /webhook/quay/SECRET` is reached at `/webhook/quay`; a name is part of the path. */
function pathsIn(description: string): string[] {
  return [...description.matchAll(/POST (\/[a-z-]+(?:\/[a-z-]+)*(?:\/NAME)?)/g)].map(([, path = '']) => path);
}

/** The second column of the table of sources: `/webhook/quay`, `dockerhub` for several of one beginning. */
function documented(): string[] {
  const text = readFileSync(new URL('../../docs/webhooks.md', import.meta.url), 'utf8');
  const [, table = ''] = /^\| source .*\n\| -.*\n((?:\|.*\n)+)/m.exec(text) ?? [];
  const cells = table
    .trimEnd()
    .split('\n')
    .map((row) => row.split('|')[2] ?? '');
  return cells.flatMap((cell) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, path = '']) => (path.startsWith('/') ? path : `/webhook/${path}`)),
  );
}
