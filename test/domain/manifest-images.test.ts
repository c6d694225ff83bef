import assert from 'node:assert/strict';
import fc from 'fast-check';
import { parse, parseAllDocuments } from 'yaml';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import {
  editManifest,
  manifestSays,
  readReference,
  restoreManifest,
  sameBesidePlaces,
} from '../../src/domain/manifest-edit/index.ts';
import type { ImageIdentity } from '../../src/domain/outcomes.ts';
import type { ChangedFile } from '../../src/domain/plan.ts';
import { generatedFile, type MarkedFile, realFiles, textAfter, textBefore } from './marked-manifests.ts';

const digest = `sha256:${'0a'.repeat(32)}` as Digest;
const tag = '2.0.1' as Tag;
const app: ImageIdentity = { repository: 'ghcr.io/team/app' as Repository, tag, digest };

function change(file: string, pin: ChangedFile['pin'] = 'tag@digest'): ChangedFile {
  return { file, target: { kind: 'images' }, pin, value: 'reference' };
}

/** Every claim that holds for every edit, and for its way back. */
function assertRoundTrip(marked: MarkedFile, tag: string = app.tag): void {
  const { file, pin } = marked;
  const image = { repository: marked.repository as Repository, tag: tag as Tag, digest };
  const plan = change(file, pin);
  const [before, after] = [textBefore(marked), textAfter(marked, tag, digest)];
  const edit = editManifest(before, plan, image);
  assert.equal(edit.text, after);
  assert.equal(editManifest(after, plan, image).text, after, 'edited again, it stays as it is');
  assert.ok(manifestSays(after, plan, image, edit.after));
  assert.ok(sameBesidePlaces(before, plan, image, after));
  const restored = restoreManifest(after, plan, image, edit);
  assert.ok(restored.kind === 'restored');
  assert.equal(restored.text, before);
  assert.equal(restoreManifest(before, plan, image, edit).kind, 'unchanged');
}

describe('images of a file, found by what the file is', () => {
  it('are 40 shapes of well-known charts and repositories', () => assert.equal(realFiles.length, 40));

  for (const { name, ...marked } of realFiles) {
    it(`are changed in ${name}, and every other byte stays as it was`, () => {
      const { text } = marked;
      for (const variant of [text, text.replace(/\n$/, ''), `\uFEFF${text}`, `# top\n\n${text}\n\n# end`]) {
        if (/^%/.test(text) && variant.startsWith('# top')) continue;
        for (const lineEnd of ['\n', '\r\n']) assertRoundTrip({ ...marked, text: variant.replaceAll('\n', lineEnd) });
      }
    });
  }

  const seed = 44;

  it(`are changed in 300 generated files (seed ${seed}), and every other byte stays as it was`, () => {
    fc.assert(
      fc.property(generatedFile, fc.constantFrom('2.0.1', 'v2', 'main-0a1b2c3', 'latest'), (marked, tag) => {
        assertRoundTrip(marked, tag);
        for (const { errors } of parseAllDocuments(textAfter(marked, tag, digest))) assert.deepEqual(errors, []);
      }),
      { seed, numRuns: 300 },
    );
  });

  it('are added behind a block of text, whose line breaks at its end belong to it', () => {
    const text = 'patch: |+\n  a: 1\n\n\n';
    const edit = editManifest(text, change('kustomization.yaml'), app);
    assert.equal(parse(edit.text).patch, parse(text).patch);
    const restored = restoreManifest(edit.text, change('kustomization.yaml'), app, edit);
    assert.equal(restored.kind === 'restored' && restored.text, text);
  });

  it('are read as the tags that they have', () => {
    const read = (file: string, text: string) =>
      readReference(text, change(file), app).flatMap(({ reference }) => reference?.tag ?? []);
    assert.deepEqual(read('values.yaml', 'image: {repository: ghcr.io/team/app, tag: v7, sha: ""}'), ['v7']);
    assert.deepEqual(read('values.yaml', `image: {repository: ghcr.io/team/app, tag: v7, sha: ${'ab'.repeat(32)}}`), ['v7']);
    assert.deepEqual(read('kustomization.yaml', 'images: [{name: ghcr.io/team/app, newTag: v7}]'), ['v7']);
    assert.deepEqual(read('values.yaml', 'a: {image: "ghcr.io/team/app:v6"}\nb: {image: ghcr.io/team/app, tag: v7}'), [
      'v6',
      'v7',
    ]);
    assert.deepEqual(read('kustomization.yaml', 'resources: []\n'), []);
  });

  it('are put back where people changed the rest, and are left where they changed the image', () => {
    const plan = change('kustomization.yaml');
    const text = 'resources:\n- a.yaml\n';
    const edit = editManifest(text, plan, app);
    const back = (found: string) => restoreManifest(found, plan, app, edit);
    const others = edit.text
      .replace('- a.yaml', '- a.yaml\n- b.yaml')
      .replace('images:\n', 'images:\n- name: redis\n  newTag: "7"\n');
    assert.deepEqual(
      { ...back(others), before: [], after: [] },
      {
        kind: 'restored',
        text: 'resources:\n- a.yaml\n- b.yaml\nimages:\n- name: redis\n  newTag: "7"\n',
        before: [],
        after: [],
      },
    );
    assert.deepEqual(back(edit.text.replace('newTag: 2.0.1', 'newTag: 3.0.0')), {
      kind: 'changed',
      place: 'images[name=ghcr.io/team/app].newTag',
      says: '3.0.0',
    });
    assert.equal(
      back(
        edit.text
          .replace('  newTag', '  newName: example.org/app\n  newTag')
          .replace('name: ghcr.io/team/app', 'name: app')
          .replace('example.org', 'ghcr.io/team'),
      ).kind,
      'changed',
    );
  });

  const refusals: readonly [why: string, file: string, text: string, RegExp, ChangedFile['pin']?][] = [
    [
      'nothing names it',
      'values.yaml',
      'image: {repository: ghcr.io/team/other, tag: v1}',
      /no image of ghcr\.io\/team\/app; it names: ghcr\.io\/team\/other; .*path, with value: bare/,
    ],
    ['nothing names any', 'values.yaml', 'replicas: 2', /it names: none/],
    [
      'the registry is another',
      'values.yaml',
      'image: {registry: example.org, repository: team/app, tag: v1}',
      /it names: example\.org\/team\/app/,
    ],
    [
      'a chart knows the tag',
      'values.yaml',
      'image: {repository: ghcr.io/team/app}',
      /image\.repository has no tag beside it; write tag: ""/,
    ],
    [
      'there is nowhere for the digest',
      'values.yaml',
      'image: {repository: ghcr.io/team/app, tag: v1}',
      /no digest beside it; .*'tag@digest'/,
      'digest',
    ],
    [
      'an old tag would stay',
      'values.yaml',
      'image: {repository: ghcr.io/team/app, tag: v1, digest: ""}',
      /has the tag 'v1' beside it/,
      'digest',
    ],
    [
      'an old digest would stay',
      'values.yaml',
      `image: {repository: ghcr.io/team/app, tag: v1, digest: "${digest}"}`,
      /has the digest 'sha256:0a.*' beside it/,
      'tag',
    ],
    [
      'an entry has a digest',
      'kustomization.yaml',
      `images: [{name: ghcr.io/team/app, digest: "${digest}"}]`,
      /images\[name=ghcr\.io\/team\/app\] has digest, which would stay/,
      'tag',
    ],
    [
      'an entry means another image',
      'kustomization.yaml',
      'images: [{name: ghcr.io/team/app, newName: example.org/app}]',
      /puts 'example\.org\/app' in its place/,
    ],
    ['the list is in flow style', 'kustomization.yaml', 'images: [{name: redis}]', /images cannot be added to; write the entry/],
    ['the list is empty', 'kustomization.yaml', 'images:\nresources: []', /images cannot be added to/],
    ['the file is in flow style', 'kustomization.yaml', '{resources: []}', /images cannot be added to/],
    [
      'two tags are there',
      'values.yaml',
      'image: ghcr.io/team/app:v1\ntag: v2',
      /image is 'ghcr\.io\/team\/app:v1', and there is 'v2' beside it/,
    ],
    [
      'a variable ends it',
      'app.yaml',
      'apiVersion: v1\nkind: Pod\nspec: {containers: [{image: "ghcr.io/team/app:$TAG"}]}',
      /put together where it is used/,
    ],
    [
      'an alias stands for it',
      'values.yaml',
      'v: &v v1\nimage: {repository: ghcr.io/team/app, tag: *v}',
      /image\.tag is an alias or comes from a merge/,
    ],
    ['it is a block', 'values.yaml', 'image: |\n  ghcr.io/team/app\n', /it names: none|is a block of text/],
    [
      'kustomize takes no two',
      'app.yaml',
      'apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec: {source: {kustomize: {images: ["ghcr.io/team/app:v1"]}}}',
      /write ghcr\.io\/team\/app=ghcr\.io\/team\/app:v1/,
    ],
    [
      'what stands there cannot be added to',
      'kustomization.yaml',
      'images:\n- ? name\n  : ghcr.io/team/app\n',
      /cannot be added to what stands there/,
    ],
    ['it is no YAML', 'values.yaml', 'image: {', /values\.yaml: line 1: invalid YAML/],
    [
      'a text of values is no YAML',
      'app.yaml',
      'apiVersion: argoproj.io/v1alpha1\nkind: Application\nspec:\n  source:\n    helm:\n      values: |\n        a: {\n',
      /app\.yaml, spec\.source\.helm\.values: line 2: invalid YAML/,
    ],
  ];
  for (const [why, file, text, message, pin] of refusals) {
    it(`are refused where ${why}`, () => {
      assert.throws(() => editManifest(text, change(file, pin), app), message);
    });
  }
});
