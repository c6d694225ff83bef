import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, open, readdir, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSources, type Sources } from '../../src/builds/checkout.ts';
import { createGitRunner, type GitResult } from '../../src/platform/git/command.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';

const largeBytes = 2_000_000;

/** What is fetched is kept as it came, even when it is little: so the growth of the clone is what was sent. */
const keptAsPacks = ['fetch.unpackLimit', '1'];
/** As `git lfs install` leaves them, on a machine where the program is not any more. */
const broken = ['filter.lfs.smudge', 'git-lfs-is-not-here smudge -- %f', 'filter.lfs.process', 'git-lfs-is-not-here'];
const settings = Object.fromEntries(
  [...keptAsPacks, ...broken, 'filter.lfs.required', 'true'].map((text, index) => [
    `GIT_CONFIG_${index % 2 === 0 ? 'KEY' : 'VALUE'}_${Math.floor(index / 2)}`,
    text,
  ]),
);
settings.GIT_CONFIG_COUNT = `${Object.keys(settings).length / 2}`;

describe('the sources of builds', () => {
  let remote: GitRemote;
  let folder: string;
  let sources: Sources;
  /** The commands of git that were run. */
  let commands: string[];
  /** What git answers in place of its own answer. */
  let instead: ReadonlyMap<string, Partial<GitResult>>;
  let source: { readonly repository: string; readonly branch: string; readonly path: string };

  beforeEach(async () => {
    remote = await createRemote({ files: { large: randomBytes(largeBytes), version: '1' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-sources-'));
    commands = [];
    instead = new Map();
    const git = createGitRunner('git', { ...gitEnvironment(), ...settings });
    sources = createSources({
      folder: join(folder, 'clones'),
      git: async (...asked) => {
        const result = await git(...asked);
        commands.push(result.command);
        return { ...result, ...instead.get(result.command) };
      },
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

  it('are fetched anew where files in the clone cannot be read', async () => {
    const commit = await sources.commitOf(source, 'main');
    for (const { path } of await packed()) {
      const pack = await open(path, 'r+');
      await pack.write(Buffer.alloc(1_000), 0, 1_000, largeBytes / 2);
      await pack.close();
    }
    assert.equal(await versionAt(commit), '1');
    assert.equal(fetches(), 2);
  });

  const fetches = () => commands.filter((command) => command === 'fetch').length;

  it('are refused where there is no such commit, which says nothing about the clone', async () => {
    await sources.commitOf(source, 'main');
    const missing = 'a'.repeat(40);
    const message = `expected a commit (40 digits), a branch or a tag of ${remote.url}, found none named '${missing}'`;
    await assert.rejects(sources.commitOf(source, missing), { type: 'BuildRefused', message });
    assert.equal(fetches(), 2);
    assert.ok(!commands.includes('rev-list'), commands.join());
  });

  it('leave files of LFS as they are in git, whatever is set up for them on the machine', async () => {
    const commit = await remote.commit('main', { '.gitattributes': 'version filter=lfs\n', version: 'a pointer' }, 'with LFS');
    assert.equal(await versionAt(commit), 'a pointer');
    assert.equal(fetches(), 1);
  });

  it('are refused where a file cannot have its name here, and fetched once', async () => {
    const commit = await remote.commit('main', { [`${'n'.repeat(300)}/${'m'.repeat(300)}`]: 'x' }, 'long names');
    await assert.rejects(versionAt(commit), (error: Error) => {
      assert.match(
        error.message,
        new RegExp(`files can be written here, found ${commit.slice(0, 12)}: .*nn … nn.*name too long`, 'is'),
      );
      assert.ok(error.message.length < 600, error.message);
      return error.name === 'BuildRefused';
    });
    assert.equal(fetches(), 1);
  });

  it('may be no files at all', async () => {
    const commit = await remote.commit('main', { large: undefined, version: undefined }, 'nothing');
    const into = join(folder, 'empty');
    assert.ok((await sources.checkOut(source, commit, into)) > 0);
    assert.deepEqual(await readdir(into), []);
    assert.equal(fetches(), 1);
  });

  it('are written again later where the disk is full, and fetched once', async () => {
    instead = new Map([['checkout', { exitCode: 255, stderr: 'error: unable to write file large\n' }]]);
    const commit = await sources.commitOf(source, 'main');
    await assert.rejects(versionAt(commit), { name: 'Error', message: /^git checkout failed .*unable to write file large$/ });
    instead = new Map();
    assert.equal(await versionAt(commit), '1');
    assert.equal(fetches(), 1);
  });
});
