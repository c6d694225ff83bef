import assert from 'node:assert/strict';
import { validate } from '@octokit/graphql-schema';
import { RateLimit } from '../../src/domain/failures.ts';
import type { Proposal } from '../../src/domain/outcomes.ts';
import type { Forge, MergeRequest, OwnChange } from '../../src/forges/forge.ts';
import { enqueueMutation, queueQuery } from '../../src/forges/github/queue.ts';
import { allPermissions } from '../support/github/access.ts';
import type { GitHub } from '../support/github/server.ts';
import type { Protection } from '../support/github/state.ts';
import {
  after,
  before,
  branch,
  broken,
  change,
  count,
  file,
  firstCommit,
  forgeOf,
  fullName,
  proposed,
  pulls,
  refused,
  type Setting,
  startDeployment,
} from '../support/github-forge.ts';

const own: OwnChange = { paths: [file], makes: async (_path, from, to) => from === before && to === after };
const message = 'Service: web\n\nLandfall-Rollout: rollout:web:1.1:abc';

describe('a merge at GitHub', function () {
  this.timeout(60_000);

  let setting: Setting;
  let github: GitHub;
  let forge: Forge;
  let proposal: Proposal;

  beforeEach(async () => {
    setting = await startDeployment();
    ({ github, forge } = setting);
    proposal = await forge.openChange(change(await proposed(setting)));
  });

  afterEach(() => github.stop());

  const merge = (more: Partial<MergeRequest> = {}, with_: Forge = forge) =>
    with_.merge({ repository: fullName, proposal, own, title: 'chore: update web', message, ...more });
  const repository = () => github.repository(fullName);
  const mergeCalls = () => github.requests.filter(({ operation }) => operation === 'pulls/merge');
  const methodsTried = () => mergeCalls().map(({ body }) => (body as { merge_method: string }).merge_method);
  const newest = async () => repository().git.readCommit((await forge.head(fullName, 'main')) ?? '');

  function protect(protection: Partial<Protection>): void {
    repository().protections.set('main', { contexts: [], approvals: 0, ...protection });
  }

  it('is by squash where nothing else was asked for, with our title and trailer', async () => {
    const outcome = await merge();
    const commit = await newest();
    assert.deepEqual(outcome, { kind: 'merged', commit: commit.sha });
    assert.equal(commit.message, `chore: update web (#1)\n\n${message}`);
    assert.deepEqual(commit.parents, [setting.base]);
    assert.equal(await forge.readFile(fullName, commit.sha, file), after);
  });

  for (const [method, parents] of [
    ['merge', 2],
    ['rebase', 1],
  ] as const) {
    it(`is by ${method} where that was asked for`, async () => {
      const outcome = await merge({ method });
      const commit = await newest();
      assert.deepEqual(outcome, { kind: 'merged', commit: commit.sha });
      assert.equal(commit.parents.length, parents);
      assert.deepEqual(methodsTried(), [method]);
    });
  }

  it('always names the head that was proposed', async () => {
    await merge();
    assert.deepEqual(
      mergeCalls().map(({ body }) => (body as { sha: string }).sha),
      [proposal.head],
    );
  });

  describe('in a way that the repository allows', () => {
    it('is found in the settings', async () => {
      repository().settings.squash = false;
      await merge();
      assert.deepEqual(methodsTried(), ['merge']);
    });

    it('is found in the rules of the branch', async () => {
      protect({ ruleset: true, methods: ['rebase'] });
      await merge();
      assert.deepEqual(methodsTried(), ['rebase']);
    });

    it('is found by trying where the token is not told', async () => {
      Object.assign(repository().settings, { squash: false, merge: false });
      const { administration: _, ...permissions } = allPermissions;
      github.addToken('weak', { login: 'landfall-bot', permissions });
      assert.equal((await merge({}, forgeOf(github, { token: 'weak' }))).kind, 'merged');
      assert.deepEqual(methodsTried(), ['squash', 'merge', 'rebase']);
    });

    it("is refused where the one that was asked for is not allowed, in GitHub's words", async () => {
      repository().settings.squash = false;
      await assert.rejects(merge({ method: 'squash' }), refused('MergeRefused', /by squash: .*Squash merges are not allowed/));
      assert.deepEqual(methodsTried(), ['squash']);
    });
  });

  describe('with somebody else at it', () => {
    it('is not done where they pushed to the branch, before or in between', async () => {
      const pushed = await github.pushCommit(fullName, { branch, files: { [file]: after } });
      await assert.rejects(merge(), refused('HeadMoved', new RegExp(pushed.slice(0, 12))));
      assert.equal(mergeCalls().length, 0);
      proposal = { ...proposal, head: pushed };
      github.beforeNext('pulls/merge', () => github.person(fullName, 'ann').forcePush(branch, setting.base));
      github.beforeNext('pulls/merge', () => github.pushCommit(fullName, { branch, files: { 'y.txt': 'y' } }));
      await assert.rejects(merge(), refused('HeadMoved', /somebody pushed to landfall\/web-production/));
      assert.equal(pulls(github)[0]?.merged, undefined);
    });

    it('is not done where they let it go into another branch, where it would bring more', async () => {
      await github.pushCommit(fullName, { branch: 'other', files: { 'x.txt': 'x' } });
      const [pull] = pulls(github);
      assert.ok(pull);
      pull.base = 'other';
      await assert.rejects(merge(), refused('MergeRefused', /to go into main, found that it goes into other/));
      assert.equal(mergeCalls().length, 0);
    });

    it('is not done where they pushed by force', async () => {
      const other = await forge.commitFiles(firstCommit(setting, { branch: 'other', text: 'services: {}\n' }));
      await github.person(fullName, 'ann').forcePush(branch, other);
      await assert.rejects(merge(), refused('HeadMoved', /retry to propose the image again/));
    });

    it('is done where they merged it, and says who', async () => {
      const commit = await github.person(fullName, 'ann').merge(1);
      assert.deepEqual(await merge(), { kind: 'merged', commit, by: 'ann', found: true });
      assert.equal(count(github, 'pulls/merge', 200), 1);
    });

    it('is done where they merge it at the same moment', async () => {
      let theirs: Promise<string> | undefined;
      // Not awaited: the emulator answers one after the other, and theirs comes right after ours was looked at.
      github.beforeNext('repos/get', async () => {
        theirs = github.person(fullName, 'ann').merge(1);
      });
      const outcome = await merge();
      assert.equal(outcome.kind === 'merged' && outcome.commit, await theirs);
    });

    it('is refused where they closed it, and says who', async () => {
      await github.person(fullName, 'bob').close(1);
      await assert.rejects(merge(), refused('MergeRefused', /closed by bob/));
    });
  });

  describe('not yet', () => {
    const notYet = async (reason: RegExp, more?: Partial<MergeRequest>) => {
      const outcome = await merge(more);
      assert.equal(outcome.kind, 'not-yet');
      assert.match(outcome.kind === 'not-yet' ? outcome.reason : '', reason);
    };

    it('where a check or a review is missing', async () => {
      protect({ contexts: ['build'], approvals: 1, ruleset: true });
      await notYet(/check build, review required/);
      github.reportCheckRun(fullName, { sha: proposal.head, name: 'build', status: 'completed', conclusion: 'success' });
      await notYet(/waits for review required/);
      await github.person(fullName, 'ann').review(1, 'APPROVE');
      assert.equal((await merge()).kind, 'merged');
    });

    it('where the branch is behind or conflicts', async () => {
      protect({ strict: true });
      await github.pushCommit(fullName, { branch: 'main', files: { 'other.txt': 'x' } });
      await notYet(/behind main/);
      await github.pushCommit(fullName, { branch: 'main', files: { [file]: 'services: {}\n' } });
      await notYet(/conflicts with what main has/, { method: 'merge' });
      assert.equal(pulls(github)[0]?.state, 'open');
    });

    it('where GitHub is still working it out, or at work on it', async () => {
      const [pull] = pulls(github);
      assert.ok(pull);
      github.beforeNext('pulls/merge', async () => {
        pull.computing = true;
        protect({ restricted: true });
      });
      await notYet(/still working out/);
    });
  });

  it('is refused where only others may push to the base', async () => {
    protect({ restricted: true });
    const outcome = await merge();
    assert.equal(outcome.kind, 'not-yet');
    assert.match(outcome.kind === 'not-yet' ? outcome.reason : '', /rules of main/);
    const { contents: _, ...permissions } = allPermissions;
    github.addToken('reader', { login: 'landfall-bot', permissions: { ...permissions, contents: 'read' } });
    await assert.rejects(
      merge({}, forgeOf(github, { token: 'reader' })),
      refused('MergeRefused', /needs the permission contents=write/),
    );
  });

  describe('that is cut off', () => {
    for (const fault of [{ cut: true, afterwards: true }, { cut: 'within' }, { status: 502, afterwards: true }] as const) {
      it(`is found by the next try, and done once (${JSON.stringify(fault)})`, async () => {
        github.failNext({ ...fault, matching: (method, path) => method === 'PUT' && path.endsWith('/merge') });
        await assert.rejects(merge(), broken);
        const commit = await forge.head(fullName, 'main');
        assert.deepEqual(await merge(), { kind: 'merged', commit, by: 'landfall-bot', found: true });
        assert.equal(mergeCalls().length, 1);
      });
    }

    it('before GitHub had it is done by the next try', async () => {
      github.failNext({ cut: true, matching: (method, path) => method === 'PUT' && path.endsWith('/merge') });
      await assert.rejects(merge(), broken);
      assert.equal((await merge()).kind, 'merged');
    });

    it('by a page in its place is found by the next try', async () => {
      github.failNext({ status: 200, matching: (_, path) => path.endsWith('/pulls/1/merge'), afterwards: true });
      await assert.rejects(merge(), broken);
      assert.deepEqual(await merge(), { kind: 'merged', commit: (await newest()).sha, by: 'landfall-bot', found: true });
    });

    it('waits as long as GitHub asks for', async () => {
      for (const rateLimit of ['primary', 'secondary'] as const) {
        github.failNext({ rateLimit, matching: (method) => method === 'PUT' });
        await assert.rejects(merge(), RateLimit);
      }
      assert.equal((await merge()).kind, 'merged');
    });
  });

  describe('by a merge queue', () => {
    for (const ruleset of [true, false]) {
      it(`is queued at the very head, once, where ${ruleset ? 'a ruleset' : 'classic protection'} demands it`, async () => {
        protect({ queue: true, ruleset });
        assert.deepEqual(await merge(), { kind: 'queued' });
        assert.deepEqual(await merge(), { kind: 'queued' });
        assert.ok(pulls(github)[0]?.queue);
        assert.equal(count(github, 'pulls/merge', 200), 0);
        const events = pulls(github)[0]?.events.filter(({ event }) => event === 'added_to_merge_queue');
        assert.equal(events?.length, 1);
        const commit = await github.finishQueue(fullName, 1, 'merged');
        assert.deepEqual(await merge(), { kind: 'merged', commit, by: 'github-merge-queue[bot]', found: true });
      });
    }

    it('is refused once the queue has put this very head out again, unless a person puts it back', async () => {
      protect({ queue: true, ruleset: true });
      await merge();
      await github.finishQueue(fullName, 1, 'removed');
      await assert.rejects(
        merge(),
        refused('MergeRefused', /put it out again at \S+ \(FAILED_CHECKS\): put it into the queue by hand/),
      );
      const [pull] = pulls(github);
      assert.ok(pull);
      pull.queue = { id: 'x', by: 'ann', at: '2026-01-01T00:00:00Z' };
      assert.deepEqual(await merge(), { kind: 'queued' });
    });

    it('takes a newer head after the queue has put out an older one', async () => {
      protect({ queue: true, ruleset: true });
      pulls(github)[0]?.events.push({
        id: 1,
        event: 'removed_from_merge_queue',
        actor: 'github-merge-queue[bot]',
        subject: '',
        at: '2020-01-01T00:00:00Z',
      });
      assert.deepEqual(await merge(), { kind: 'queued' });
    });

    it('is not queued where somebody pushed in between', async () => {
      protect({ queue: true, ruleset: true });
      github.beforeNext('repos/get-branch-rules', () => github.pushCommit(fullName, { branch, files: { 'x.txt': 'x' } }));
      await assert.rejects(merge(), refused('HeadMoved', /somebody pushed/));
      assert.equal(pulls(github)[0]?.queue, undefined);
    });

    it('is not yet queued where something is missing', async () => {
      protect({ queue: true, ruleset: true, approvals: 1 });
      assert.deepEqual(await merge(), { kind: 'not-yet', reason: 'waits for review required' });
    });

    it("is refused where the token may not, in GitHub's words", async () => {
      protect({ queue: true, ruleset: true });
      github.addToken('reader', { login: 'landfall-bot', permissions: { ...allPermissions, contents: 'read' } });
      await assert.rejects(
        merge({}, forgeOf(github, { token: 'reader' })),
        refused('MergeRefused', /Resource not accessible by personal access token/),
      );
    });

    it('is found by the next try where it was cut off', async () => {
      protect({ queue: true, ruleset: true });
      await assert.rejects(async () => {
        // The first request of GraphQL only looks.
        github.failNext({ cut: true, afterwards: true, matching: (_, path) => path === '/graphql', times: 2 });
        await merge();
      }, broken);
      assert.deepEqual(await merge().catch(merge.bind(undefined, {}, forge)), { kind: 'queued' });
    });

    it("asks what GitHub's public schema knows", () => {
      for (const document of [queueQuery, enqueueMutation]) assert.deepEqual(validate(document), []);
      assert.notDeepEqual(validate(queueQuery.replace('isInMergeQueue', 'isInQueue')), []);
    });
  });

  describe('afterwards', () => {
    it('deletes the branch once, and only where it is still at the head', async () => {
      await merge();
      await forge.deleteBranch(fullName, branch, setting.base);
      assert.equal(await forge.head(fullName, branch), proposal.head);
      await forge.deleteBranch(fullName, branch, proposal.head);
      await forge.deleteBranch(fullName, branch, proposal.head);
      assert.equal(await forge.head(fullName, branch), undefined);
      assert.equal(count(github, 'git/delete-ref', 204), 1);
    });

    it('takes a branch that GitHub deletes at the same moment for deleted', async () => {
      github.beforeNext('git/delete-ref', () => repository().git.deleteRef(`refs/heads/${branch}`));
      await forge.deleteBranch(fullName, branch, proposal.head);
      assert.equal(count(github, 'git/delete-ref', 422), 1);
    });

    it('is refused to delete a protected branch', async () => {
      repository().protections.set(branch, { contexts: [], approvals: 0 });
      await assert.rejects(
        forge.deleteBranch(fullName, branch, proposal.head),
        refused('ForgeRefused', /Cannot delete this protected branch/),
      );
    });

    it('closes a proposal once, and leaves a merged one alone', async () => {
      await forge.close(fullName, proposal);
      await forge.close(fullName, proposal);
      assert.deepEqual(await forge.state(fullName, proposal), { kind: 'closed', by: 'landfall-bot' });
      assert.equal(count(github, 'pulls/update', 200), 1);
    });
  });

  it('names the newest commit that changed a file', async () => {
    const theirs = await github.pushCommit(fullName, {
      branch: 'main',
      files: { [file]: 'services: {}\n' },
      message: 'drop web\n\nnobody needs it',
      author: 'Ann',
    });
    const head = await github.pushCommit(fullName, { branch: 'main', files: { 'other.txt': 'x' } });
    assert.deepEqual(await forge.lastChange(fullName, head, file), { sha: theirs, author: 'Ann', message: 'drop web' });
    assert.equal(await forge.lastChange(fullName, head, 'never.yml'), undefined);
  });
});
