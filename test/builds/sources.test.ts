import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSources, type Sources } from '../../src/builds/checkout.ts';
import { createGitRunner } from '../../src/platform/git/command.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';

const largeBytes = 2_000_000;

/** What is fetched is kept as it came, even when it is little: so the growth of the clone is what was sent. */
const keptAsPacks = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'fetch.unpackLimit', GIT_CONFIG_VALUE_0: '1' };

describe('the sources of builds', () => {
  let remote: GitRemote;
  let folder: string;
  let sources: Sources;
  let source: { readonly repository: string; readonly branch: string; readonly path: string };

  beforeEach(async () => {
    remote = await createRemote({ files: { large: randomBytes(largeBytes), version: '1' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-sources-'));
    sources = createSources({
      folder: join(folder, 'clones'),
      git: createGitRunner('git', { ...gitEnvironment(), ...keptAsPacks }),
      remoteOf: async (url) => ({ url, env: {} }),
    });
    source = { repository: remote.url, branch: 'main', path: '' };
  });
  afterEach(async () => {
    await remote.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  async function filesOfClone(): Promise<{ path: string; size: number }[]> {
    const clones = join(folder, 'clones');
    const names = await readdir(clones, { recursive: true });
    return await Promise.all(
      names.map(async (name) => ({ path: join(clones, name), size: (await stat(join(clones, name))).size })),
    );
  }
  const packed = async () => (await filesOfClone()).filter(({ path }) => path.endsWith('.pack'));
  const bytesOfClone = async () => (await filesOfClone()).reduce((sum, { size }) => sum + size, 0);

  let checkouts = 0;
  async function versionAt(commit: string): Promise<string> {
    const into = join(folder, `checkout-${++checkouts}`);
    await sources.checkOut(source, commit, into);
    return await readFile(join(into, 'version'), 'utf8');
  }

  /** What a change of one line adds to the clone. */
  async function grownBy(look: (commit: string) => Promise<unknown>, branch = 'main'): Promise<number> {
    const before = await bytesOfClone();
    const commit = await remote.commit(branch, { version: `${checkouts}` }, 'a change');
    await look(commit);
    assert.equal(await versionAt(commit), `${checkouts - 1}`);
    return (await bytesOfClone()) - before;
  }

  it('are fetched once: of a commit that follows comes what is new, whether a branch or a commit is asked for', async () => {
    await sources.commitOf(source, 'main');
    assert.ok((await bytesOfClone()) > largeBytes);
    for (const look of [
      () => sources.commitOf(source, 'main'),
      async () => {},
      () => sources.commitOf(source, 'refs/heads/main'),
      async () => {},
    ])
      assert.ok((await grownBy(look)) < largeBytes / 10);
    assert.ok((await grownBy(() => sources.commitOf(source, 'topic'), 'topic')) < largeBytes / 10);
  });

  it('that are not there name the setting of builds that says where they are', async () => {
    const nowhere = { ...source, repository: join(folder, 'nowhere') };
    const message = /^found no git repository at \S+\/nowhere, .*: correct source\.git, or give them access$/;
    await assert.rejects(sources.commitOf(nowhere, 'main'), { type: 'ForgeRefused', message });
    await assert.rejects(sources.commitOf({ ...source, repository: 'ext::sh' }, 'main'), /correct source\.git$/);
  });

  it('are those of a tag, a branch that was rewound, and branches whose names are folders of one another', async () => {
    const [first] = await remote.log('main');
    await remote.commit('main', { version: '2' }, 'second');
    await sources.commitOf(source, 'main');
    await remote.git('update-ref', 'refs/heads/main', first?.sha ?? '');
    const rewritten = await remote.commit('main', { version: '3' }, 'other');
    assert.equal(await sources.commitOf(source, 'main'), rewritten);
    assert.equal(await versionAt(rewritten), '3');
    const short = await remote.commit('release', { version: '4' }, 'short');
    assert.equal(await sources.commitOf(source, 'release'), short);
    await remote.git('branch', '-D', 'release');
    const long = await remote.commit('release/1', { version: '5' }, 'long');
    await remote.git('-c', 'user.name=Ann', '-c', 'user.email=ann@example.org', 'tag', '-a', '-m', 'one', 'v1', long);
    assert.equal(await sources.commitOf(source, 'v1'), long);
    assert.equal(await sources.commitOf(source, 'release/1'), long);
    await assert.rejects(sources.commitOf(source, 'release'), { name: 'BuildRefused' });
    assert.equal(await versionAt(long), '5');
  });

  it('are fetched anew where the clone is broken', async () => {
    const first = await sources.commitOf(source, 'main');
    for (const { path } of await packed()) await truncate(path, 100);
    const second = await remote.commit('main', { version: '2' }, 'second');
    assert.equal(await sources.commitOf(source, 'main'), second);
    assert.equal(await versionAt(second), '2');
    assert.equal(await versionAt(first), '1');
  });
});
