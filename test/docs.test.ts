import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const documents = [
  ...['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
  ...readdirSync(join(root, 'docs')).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
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

  it('have lines that fit on a screen, apart from tables and code', () => {
    const long = documents.flatMap((file) => {
      const prose = read(file).replace(/^ *```.*\n[\s\S]*?^ *```$/gm, '');
      return prose.split('\n').filter((line) => line.length > 140 && !line.startsWith('|'));
    });
    assert.deepEqual(long, []);
  });
});
