import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSources } from '../../src/builds/checkout.ts';
import { projects } from '../../src/builds/projects/index.ts';
import { createReadTarget } from '../../src/builds/read-target.ts';
import { createGitRunner } from '../../src/platform/git/command.ts';
import { buildStartOf } from '../support/fake-builds.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';

const folders = Array.from({ length: 40 }, (_, index) => `services/s${index}`);

describe('the folders of a commit', () => {
  let remote: GitRemote;
  let data: string;
  let commands: string[];
  let isAway: boolean;
  let readTarget: ReturnType<typeof createReadTarget>;

  beforeEach(async () => {
    remote = await createRemote({
      files: Object.fromEntries(folders.map((folder) => [`${folder}/Dockerfile`, 'FROM scratch\n'])),
    });
    data = await mkdtemp(join(tmpdir(), 'landfall-targets-'));
    [commands, isAway] = [[], false];
    const git = createGitRunner('git', gitEnvironment());
    const sources = createSources({
      folder: join(data, 'clones'),
      git: async (...asked) => {
        const result = await git(...asked);
        commands.push(result.command);
        return result;
      },
      remoteOf: async (url) => {
        if (isAway) throw new Error('it is away');
        return { url, env: {} };
      },
    });
    readTarget = createReadTarget({ sources, projects, folder: data });
  });
  afterEach(async () => {
    await remote.destroy();
    await rm(data, { recursive: true, force: true });
  });

  const subjectOf = (folder: string, commit: string) => {
    const source = { repository: remote.url, branch: 'main', path: 'services/*' };
    const { subject } = buildStartOf('web', {}, { source, name: '*', image: 'registry.example.test/team/*' });
    return { ...subject, folder, commit };
  };
  const read = (commit: string, of: readonly string[] = folders) =>
    Promise.allSettled(of.map((folder) => readTarget(subjectOf(folder, commit))));
  const head = async () => (await remote.git('rev-parse', 'main')).trim();
  const checkouts = () => commands.filter((command) => command === 'checkout').length;
  const left = async () => (await readdir(data)).filter((name) => name !== 'clones');

  it('are read from one checkout, which is gone when all have been', async () => {
    const found = await read(await head(), [...folders, 'services/none']);
    const images = found.map((each) => (each.status === 'fulfilled' ? each.value.image : each.reason.name));
    const wanted = folders.map((folder) => folder.replace('services', 'registry.example.test/team'));
    assert.deepEqual(images, [...wanted, 'BuildRefused']);
    assert.equal(checkouts(), 1);
    assert.deepEqual(await left(), []);
  });

  it('have a checkout of their own for each commit, and another one later', async () => {
    const first = await head();
    const second = await remote.commit('main', { 'services/s0/Dockerfile': undefined }, 'one less');
    const both = await Promise.all([read(first, ['services/s0']), read(second, ['services/s0'])]);
    assert.deepEqual(
      both.flat().map(({ status }) => status),
      ['fulfilled', 'rejected'],
    );
    await read(first);
    assert.equal(checkouts(), 3);
    assert.deepEqual(await left(), []);
  });

  it('are read after all where a checkout has failed', async () => {
    const commit = await head();
    isAway = true;
    const failed = await read(commit);
    assert.ok(failed.every((each) => each.status === 'rejected' && each.reason.message === 'it is away'));
    isAway = false;
    const found = await read(commit);
    assert.ok(found.every(({ status }) => status === 'fulfilled'));
    assert.deepEqual(await left(), []);
  });
});
