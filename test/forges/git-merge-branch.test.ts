import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Proposal } from '../../src/domain/outcomes.ts';
import { BranchMoved, type Forge, type MergeRequest, type OwnChange } from '../../src/forges/forge.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { createRemote, type GitRemote, gitEnvironment, somebodyIsFaster } from '../support/git-remote.ts';

const compose = `services:
  web:
    image: nginx:1 # keep
    restart: always
    ports: ["80:80"]
    labels:
      - a
  db:
    image: postgres:16
`;
const proposedText = compose.replace('nginx:1', 'nginx:2');
const branch = 'landfall/web-production';
const file = 'docker-compose.yml';
const own: OwnChange = {
  paths: [file],
  makes: async (_path, before, after) => after === before.replace('nginx:1', 'nginx:2'),
};

describe('a merge on a plain git remote', () => {
  let remote: GitRemote;
  let folder: string;
  let forge: Forge;
  let proposal: Proposal;

  beforeEach(async () => {
    remote = await createRemote({ files: { [file]: compose, 'notes.txt': 'unrelated\n' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-clones-'));
    forge = createGitForge({ folder, env: gitEnvironment() });
    const base = await headOf('main');
    const head = await forge.commitFiles({
      repository: remote.folder,
      branch,
      parents: [base],
      treeOf: base,
      files: [{ path: file, text: proposedText }],
      message: 'chore: update web image\n\nLandfall-Rollout: rollout:web:2:abc',
    });
    proposal = { kind: 'branch', url: `${remote.folder}#${branch}`, branch, base: 'main', head, baseCommit: base };
  });

  afterEach(async () => {
    await remote.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  async function headOf(name: string): Promise<string> {
    return (await remote.git('rev-parse', `refs/heads/${name}`)).trim();
  }

  const mergeOf = (more: Partial<MergeRequest> = {}): MergeRequest => ({
    repository: remote.folder,
    proposal,
    own,
    title: 'chore: update web',
    message: `Service: web\n\nLandfall-Rollout: rollout:web:2:abc\nLandfall-Head: ${proposal.head}\n`,
    ...more,
  });
  const merge = (more: Partial<MergeRequest> = {}, with_: Forge = forge) => with_.merge(mergeOf(more));
  const standing = () => forge.state(remote.folder, proposal, own);
  const refused = (type: string, message: RegExp) => ({ type, message });
  /** A person at their own clone, where anything can be merged. */
  const personMerges = async (...options: string[]) => {
    const work = await mkdtemp(join(tmpdir(), 'landfall-work-'));
    const run = (...args: string[]) => remote.git('--work-tree', work, '-c', 'core.bare=false', ...args);
    const identity = ['-c', 'user.name=Ann Person', '-c', 'user.email=ann@example.org'];
    try {
      await run('checkout', '--force', 'main', '--', '.');
      await remote.git('symbolic-ref', 'HEAD', 'refs/heads/main');
      await run(...identity, 'merge', '--quiet', ...options, branch);
      if (options.includes('--squash')) await run(...identity, 'commit', '--quiet', '-m', 'take the new web');
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return headOf('main');
  };

  describe('of ours', () => {
    it('is one commit on top of the base with the tree of both, and our trailers', async () => {
      const theirs = await remote.commit('main', { 'notes.txt': 'meanwhile\n' }, 'meanwhile');
      const outcome = await merge();
      const [newest] = await remote.log('main');
      assert.deepEqual(outcome, { kind: 'merged', commit: newest?.sha });
      assert.deepEqual(newest?.parents, [theirs]);
      assert.match(
        newest?.message ?? '',
        /^chore: update web\n\nService: web\n\nLandfall-Rollout: rollout:web:2:abc\nLandfall-Head: /,
      );
      assert.equal(await remote.read('main', file), proposedText);
      assert.equal(await remote.read('main', 'notes.txt'), 'meanwhile\n');
      assert.equal(await headOf(branch), proposal.head);
    });

    it('has two parents where a merge commit was asked for', async () => {
      await merge({ method: 'merge' });
      const [newest] = await remote.log('main');
      assert.deepEqual(newest?.parents, [proposal.baseCommit, proposal.head]);
      assert.equal(await remote.read('main', file), proposedText);
    });

    it('has one parent where a rebase was asked for', async () => {
      await merge({ method: 'rebase' });
      assert.deepEqual((await remote.log('main'))[0]?.parents, [proposal.baseCommit]);
    });

    it('keeps what somebody changed elsewhere in the same file', async () => {
      await remote.commit('main', { [file]: compose.replace('postgres:16', 'postgres:17') }, 'newer database');
      assert.deepEqual(await standing().then(({ kind }) => kind), 'open');
      await merge();
      assert.equal(await remote.read('main', file), proposedText.replace('postgres:16', 'postgres:17'));
    });
  });

  describe('that was done already', () => {
    for (const method of ['merge', 'squash'] as const) {
      it(`is found by the next try, by ${method}, also with a new clone, with later commits and without the branch`, async () => {
        const first = await merge({ method });
        await remote.git('branch', '-D', branch);
        await remote.commit('main', { 'notes.txt': 'later\n' }, 'later');
        const elsewhere = createGitForge({ folder: join(folder, 'new'), env: gitEnvironment() });
        assert.equal(first.kind, 'merged');
        for (const each of [forge, elsewhere]) {
          const again = await merge({ method }, each);
          assert.deepEqual(again, { ...first, by: 'Landfall', found: true });
        }
        assert.equal((await remote.log('main')).filter(({ message }) => message.includes('Landfall-Head')).length, 1);
        const stands = await standing();
        assert.deepEqual([stands.kind, stands.kind === 'merged' && stands.by], ['merged', 'Landfall']);
      });
    }

    it('is done once by four at once', async () => {
      const others = ['one', 'two', 'three'].map((name) => createGitForge({ folder: join(folder, name), env: gitEnvironment() }));
      const outcomes = await Promise.all([forge, ...others].map((each) => merge({}, each).catch((error: unknown) => error)));
      assert.ok(outcomes.every((outcome) => outcome instanceof BranchMoved || (outcome as { kind: string }).kind === 'merged'));
      const [newest, first, ...more] = await remote.log('main');
      assert.match(newest?.message ?? '', /Landfall-Head/);
      assert.deepEqual([first?.sha, more], [proposal.baseCommit, []]);
    });

    it('is not taken for that of another stage of the same rollout', async () => {
      const other = await forge.commitFiles({
        repository: remote.folder,
        branch: 'landfall/web-staging',
        parents: [proposal.baseCommit ?? ''],
        treeOf: proposal.baseCommit ?? '',
        files: [{ path: 'notes.txt', text: 'staging\n' }],
        message: 'chore: update web image\n\nLandfall-Rollout: rollout:web:2:abc',
      });
      const staging = { ...proposal, branch: 'landfall/web-staging', head: other };
      const message = mergeOf().message.replace(proposal.head, other);
      assert.equal(
        (await merge({ proposal: staging, message, own: { paths: ['notes.txt'], makes: async () => true } })).kind,
        'merged',
      );
      assert.equal((await standing()).kind, 'open');
    });

    for (const [what, files] of [
      ['brings nothing', {}],
      ['brings something else', { 'notes.txt': 'forged\n' }],
      ['brings more', { [file]: proposedText, 'notes.txt': 'forged\n' }],
    ] as const) {
      it(`is not believed of a commit that says so and ${what}`, async () => {
        await remote.commit('main', files, `chore: update web\n\n${mergeOf().message}`, 'Mallory');
        assert.equal((await standing()).kind, 'open');
        const outcome = await merge();
        assert.equal(outcome.kind, 'merged');
        assert.equal(await remote.read('main', file), proposedText);
      });
    }

    it('by a commit that says the same is nothing left to do', async () => {
      const theirs = await remote.commit('main', { [file]: proposedText }, 'by hand');
      assert.deepEqual(await merge(), { kind: 'merged', commit: theirs, found: true });
      assert.equal(await headOf('main'), theirs);
    });
  });

  describe('with somebody else at the base', () => {
    it('is never pushed over theirs: a base that moves between look and push is looked at again', async () => {
      const original = await headOf('main');
      await remote.hook('pre-receive', somebodyIsFaster(join(folder, 'raced')));
      await assert.rejects(merge(), BranchMoved);
      const theirs = await headOf('main');
      assert.notEqual(theirs, original);
      const outcome = await merge();
      assert.equal(outcome.kind, 'merged');
      assert.deepEqual((await remote.log('main'))[0]?.parents, [theirs]);
    });

    it('is not yet possible where they changed the same line', async () => {
      const theirs = await remote.commit('main', { [file]: compose.replace('nginx:1', 'nginx:1.5') }, 'theirs');
      const stands = await standing();
      assert.deepEqual([stands.kind, stands.kind === 'open' && stands.mergeable], ['open', 'conflicting']);
      const outcome = await merge();
      assert.match(outcome.kind === 'not-yet' ? outcome.reason : '', /conflicts with what main has by now/);
      assert.equal(await headOf('main'), theirs);
    });

    it('is refused where they began a new history', async () => {
      const tree = (await remote.git('rev-parse', 'main^{tree}')).trim();
      const root = (await remote.git('-c', 'user.name=A', '-c', 'user.email=a@b.c', 'commit-tree', tree, '-m', 'new')).trim();
      await remote.git('update-ref', 'refs/heads/main', root);
      await assert.rejects(merge(), refused('BranchConflict', /found what nobody can tell from the two branches/));
    });

    it('tells what the remote says where it refuses the push', async () => {
      await remote.hook('pre-receive', 'echo "main is frozen" >&2; exit 1');
      await assert.rejects(merge(), refused('MergeRefused', /main is frozen[\s\S]*allow Landfall to push to main/));
    });
  });

  describe('with somebody else at the branch', () => {
    it('is not done where they pushed to it', async () => {
      const theirs = await remote.commit(branch, { 'notes.txt': 'theirs\n' }, 'theirs');
      const stands = await standing();
      assert.deepEqual([stands.kind, stands.kind === 'open' && stands.head], ['open', theirs]);
      await assert.rejects(merge(), refused('HeadMoved', /somebody pushed to it; retry to propose the image again/));
    });

    it('is not done where they rewound it by force', async () => {
      await remote.git('update-ref', `refs/heads/${branch}`, proposal.baseCommit ?? '');
      assert.equal((await standing()).kind, 'open');
      await assert.rejects(merge(), refused('HeadMoved', /was checked and approved/));
    });

    it('is refused where they closed it by deleting it', async () => {
      await remote.git('branch', '-D', branch);
      assert.deepEqual(await standing(), { kind: 'closed' });
      await assert.rejects(merge(), refused('MergeRefused', /somebody closed the proposal/));
    });

    it('is done where they merged it with a commit, and says who', async () => {
      const commit = await personMerges('--no-ff', '-m', 'new web');
      await remote.git('branch', '-D', branch);
      await remote.commit('main', { 'notes.txt': 'later\n' }, 'later');
      const stands = await standing();
      assert.deepEqual({ ...stands, at: undefined }, { kind: 'merged', commit, by: 'Ann Person', at: undefined });
      assert.deepEqual(await merge(), { kind: 'merged', commit, by: 'Ann Person', found: true });
    });

    it('is done where they merged it fast forward', async () => {
      assert.equal(await personMerges('--ff-only'), proposal.head);
      await remote.commit('main', { 'notes.txt': 'later\n' }, 'later');
      assert.deepEqual(await standing(), { kind: 'merged', commit: proposal.head });
    });
  });

  describe('afterwards', () => {
    it('deletes the branch, and only where it is still at the head', async () => {
      await merge();
      await forge.deleteBranch(remote.folder, branch, proposal.baseCommit ?? '');
      assert.equal(await headOf(branch), proposal.head);
      await forge.deleteBranch(remote.folder, branch, proposal.head);
      await forge.deleteBranch(remote.folder, branch, proposal.head);
      assert.deepEqual(await remote.branches(), ['main']);
    });

    it('is told where the remote does not let us delete it', async () => {
      await remote.git('config', 'receive.denyDeletes', 'true');
      await assert.rejects(
        forge.deleteBranch(remote.folder, branch, proposal.head),
        refused('ForgeRefused', /allow Landfall to push landfall/),
      );
    });

    it('closes a proposal by deleting its branch', async () => {
      await forge.close(remote.folder, proposal);
      assert.deepEqual(await standing(), { kind: 'closed' });
    });
  });

  it('names the newest commit that changed a file', async () => {
    const theirs = await remote.commit('main', { [file]: 'services: {}\n' }, 'drop web\n\nnobody needs it', 'Bob Other');
    const head = await remote.commit('main', { 'notes.txt': 'later\n' }, 'later');
    assert.deepEqual(await forge.lastChange(remote.folder, head, file), {
      sha: theirs,
      author: 'Bob Other',
      message: 'drop web',
    });
    assert.equal(await forge.lastChange(remote.folder, head, '*.yml'), undefined);
  });
});
