import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommitCheck } from '../../src/activities/commit-check.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';

describe('whether a commit has ours', () => {
  let remote: GitRemote;
  let folder: string;

  before(async () => {
    remote = await createRemote({ files: { a: '1' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-clones-'));
  });
  after(async () => {
    await remote.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  it('is told by the forge, once for each; of one from elsewhere, or of another line, nobody knows it', async () => {
    const before = await remote.git('rev-parse', 'main');
    const ours = await remote.commit('main', { a: '2' }, 'ours');
    const later = await remote.commit('main', { a: '3' }, 'later');
    await remote.git('branch', 'aside', before.trim());
    const aside = await remote.commit('aside', { b: '1' }, 'aside');
    const forge = createGitForge({ folder, env: gitEnvironment() });
    const asked: string[] = [];
    const forgeFor = () => ({
      ...forge,
      compare: (repository: string, base: string, head: string) => {
        asked.push(head);
        return forge.compare(repository, base, head);
      },
    });
    const isOurs = createCommitCheck(forgeFor, remote.folder, ours);
    const answers = [];
    for (const commit of [ours, before.trim(), later, aside, later, 'f'.repeat(40)]) answers.push(await isOurs(commit));
    assert.deepEqual(answers, [true, false, true, undefined, true, undefined]);
    assert.deepEqual(asked, [before.trim(), later, aside, 'f'.repeat(40)]);
  });

  it('is known of ours alone where the forge cannot be asked', async () => {
    const isOurs = createCommitCheck(
      () => {
        throw new Error('GitHub is not configured');
      },
      'team/deployment',
      'a'.repeat(40),
    );
    assert.deepEqual([await isOurs('a'.repeat(40)), await isOurs('b'.repeat(40))], [true, undefined]);
  });
});
