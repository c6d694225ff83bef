import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleOf } from '../../src/process/workflow-bundle.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

describe('the bundle of the workflows, from the sources', function () {
  this.timeout(120_000);
  let checkout: string;
  const workflows = () => join(checkout, 'src/workflows/index.ts');
  const keptFiles = () => readdir(join(checkout, 'node_modules/.cache/landfall'));

  beforeEach(async () => {
    checkout = await mkdtemp(join(tmpdir(), 'landfall-checkout-'));
    await mkdir(join(checkout, 'node_modules'));
    await symlink(join(root, 'node_modules/@temporalio'), join(checkout, 'node_modules/@temporalio'));
    await writeFile(join(checkout, 'node_modules/.package-lock.json'), '{}');
    await mkdir(join(checkout, 'src/workflows'), { recursive: true });
    await mkdir(join(checkout, 'src/domain/events'), { recursive: true });
    await writeFile(join(checkout, 'src/domain/word.ts'), "export const word: string = 'first';\n");
    await writeFile(join(checkout, 'src/workflows/sealed.ts'), 'export const interceptors = () => ({});\n');
    await writeFile(workflows(), "import { word } from '../domain/word.ts';\nexport async function say() {\n  return word;\n}\n");
  });
  afterEach(() => rm(checkout, { recursive: true }));

  it('is made once, and what is kept is what is used', async () => {
    const code = await bundleOf(checkout);
    assert.match(code, /'first'|"first"/);
    const [file = '', ...others] = await keptFiles();
    assert.deepEqual(others, []);
    await appendFile(join(checkout, 'node_modules/.cache/landfall', file), '// kept');
    assert.equal(await bundleOf(checkout), `${code}// kept`);
  });

  it('is that of the sources as they are now, whatever was kept of others', async () => {
    await bundleOf(checkout);
    const before = await keptFiles();
    await writeFile(join(checkout, 'src/domain/word.ts'), "export const word: string = 'second';\n");
    const code = await bundleOf(checkout);
    assert.match(code, /'second'|"second"/);
    assert.doesNotMatch(code, /'first'|"first"/);
    const after = await keptFiles();
    assert.equal(after.length, 1);
    assert.notDeepEqual(after, before);
  });

  it('is made anew where a package changed, or a source moved', async () => {
    await bundleOf(checkout);
    const files = [await keptFiles()];
    await writeFile(join(checkout, 'node_modules/.package-lock.json'), '{"packages":{}}');
    await bundleOf(checkout);
    files.push(await keptFiles());
    await writeFile(join(checkout, 'src/domain/another.ts'), '');
    await bundleOf(checkout);
    files.push(await keptFiles());
    assert.equal(new Set(files.flat()).size, 3);
  });

  it('knows the places in the sources, for stacks, and not their text, which would be in memory several times', async () => {
    const [, encoded = ''] = (await bundleOf(checkout)).split('sourceMappingURL=data:application/json;charset=utf-8;base64,');
    const map = JSON.parse(Buffer.from(encoded, 'base64').toString()) as { sources: string[]; sourcesContent?: string[] };
    assert.ok(map.sources.some((source) => source.endsWith('src/domain/word.ts')));
    assert.equal(map.sourcesContent, undefined);
  });
});
