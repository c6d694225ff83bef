import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { busyMs } from '../../scripts/test/pace.mjs';
import { Refusal } from '../../src/domain/failures.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import * as rules from '../../src/domain/manifest-edit/index.ts';
import type { ImageIdentity } from '../../src/domain/outcomes.ts';
import type { ChangePlan, ChangeTarget } from '../../src/domain/plan.ts';
import * as editor from '../../src/platform/manifest-editor/index.ts';
import { type HostileManifest, hostileManifests, manyKeys, nestedMerges } from '../support/hostile-manifests.ts';
import { assertWithin, longestPause } from '../support/processor-time.ts';

/** Temporal hears nothing of a worker meanwhile, and nobody is answered. */
const longestPauseMs = 200;
const root = fileURLToPath(new URL('../..', import.meta.url));
const image: ImageIdentity = {
  repository: 'ghcr.io/team/app' as Repository,
  tag: 'v2' as Tag,
  digest: `sha256:${'0a'.repeat(32)}` as Digest,
};

const targets: Record<HostileManifest['file'], ChangeTarget> = {
  compose: { kind: 'compose', services: ['web'] },
  marker: { kind: 'marker', name: 'web' },
  'bare marker': { kind: 'marker', name: 'web' },
  env: { kind: 'env', key: 'WEB' },
  path: { kind: 'yaml', path: 'a[k=v].b' },
  images: { kind: 'images' },
};

function changeOf(file: HostileManifest['file'] = 'compose'): ChangePlan {
  return {
    repository: 'team/deploy',
    base: 'main',
    file: 'docker-compose.yml',
    target: targets[file],
    pin: 'tag@digest',
    value: file === 'bare marker' ? 'bare' : 'reference',
    labels: [],
    reviewers: [],
    assignees: [],
    merge: 'off',
  };
}

/** A manifest of 300 KB as people have them: services with comments, quotes and lists. */
function largeManifest(): string {
  const others = Array.from(
    { length: 3000 },
    (_, index) =>
      `  # number ${index}\n  service-${index}:\n    image: "nginx:1.${index}"\n    ports: ["80:80"]\n    restart: always\n`,
  );
  return `services:\n${others.join('')}  web:\n    image: ghcr.io/team/app:v1 # ours\n`;
}

/** Ends well or with a refusal, never in another way. */
async function refusedOrDone(act: () => unknown): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
  }
}

describe('a manifest of whatever size', () => {
  it('is edited, restored and read as by the rules themselves', async () => {
    const text = largeManifest();
    const change = changeOf();
    const edit = await editor.editManifest(text, change, image);
    assert.equal(edit.text, text.replace('app:v1 ', `app:v2@${image.digest} `));
    assert.deepEqual(edit, rules.editManifest(text, change, image));
    assert.equal(await editor.manifestSays(edit.text, change, image, edit.after), true);
    assert.deepEqual(await editor.readReference(text, change, image), rules.readReference(text, change, image));
    assert.deepEqual(
      await editor.restoreManifest(edit.text, change, image, edit),
      rules.restoreManifest(edit.text, change, image, edit),
    );
  });

  it('is refused in the same words, however large it is', async () => {
    const text = `${largeManifest()}  api:\n    build: .\n`;
    const change = { ...changeOf(), target: { kind: 'compose' as const, services: ['api'] } };
    await assert.rejects(editor.editManifest(text, change, image), (error) => {
      assert.ok(error instanceof Refusal);
      assert.equal(error.type, 'EditRefused');
      assert.match(error.message, /service 'api' is built where it is deployed/);
      return true;
    });
    await assert.rejects(editor.editManifest(`${'# long\n'.repeat(150_000)}`, changeOf(), image), {
      type: 'EditRefused',
      message: /docker-compose\.yml: it has 1050000 characters, expected at most 1048576 \(1 MiB\); move what/,
    });
  });

  it('does not keep the event loop, whatever somebody wrote into it', async function () {
    this.timeout(120_000);
    const texts = [
      ...hostileManifests(1024 * 1024 - 200).filter(({ what }) => what === 'nested merges'),
      { what: '551 bytes of merges', file: 'compose' as const, text: nestedMerges(18) },
      { what: '20,000 keys', file: 'compose' as const, text: manyKeys(20_000) },
      ...hostileManifests(8 * 1024),
    ];
    for (const { what, file, text } of texts) {
      const pause = await longestPause(() => refusedOrDone(() => editor.editManifest(text, changeOf(file), image)));
      assertWithin(longestPauseMs, pause, `${what} (${text.length} characters) kept the event loop`);
    }
  });

  it('takes a time by its length where it is no YAML', async () => {
    for (const { what, file, text } of hostileManifests(128 * 1024).filter((each) => /marker|env/.test(each.file))) {
      const before = busyMs();
      await refusedOrDone(() => rules.editManifest(text, changeOf(file), image));
      assertWithin(longestPauseMs, busyMs() - before, what);
    }
  });

  it('is read in a thread by the built service too', async function () {
    this.timeout(120_000);
    const folder = await mkdtemp(join(tmpdir(), 'landfall-built-'));
    try {
      const run = promisify(execFile);
      await run(process.execPath, [
        join(root, 'node_modules/typescript/bin/tsc'),
        '-p',
        join(root, 'tsconfig.build.json'),
        '--outDir',
        folder,
      ]);
      await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
      const built = pathToFileURL(join(folder, 'src/platform/manifest-editor/index.js')).href;
      const script = `
        const { editManifest } = await import(process.argv[1]);
        const [text, change, image] = JSON.parse(process.env.INPUT);
        console.log((await editManifest(text, change, image)).after.join());`;
      const INPUT = JSON.stringify([manyKeys(2_000), changeOf(), image]);
      const words = ['--input-type=module', '--eval', script, built];
      const { stdout } = await run(process.execPath, words, { env: { INPUT }, cwd: folder });
      assert.equal(stdout, `ghcr.io/team/app:v2@${image.digest}\n`);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
