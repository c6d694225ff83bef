import assert from 'node:assert/strict';
import { RateLimit } from '../../src/domain/failures.ts';
import type { Proposal, ProposalState } from '../../src/domain/outcomes.ts';
import type { Forge } from '../../src/forges/forge.ts';
import { allPermissions } from '../support/github/access.ts';
import type { GitHub } from '../support/github/server.ts';
import type { Protection } from '../support/github/state.ts';
import {
  branch,
  broken,
  change,
  forgeOf,
  fullName,
  proposed,
  pulls,
  type Setting,
  startDeployment,
} from '../support/github-forge.ts';

describe('where a proposal stands at GitHub', function () {
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

  async function open(with_: Forge = forge): Promise<Extract<ProposalState, { kind: 'open' }>> {
    const standing = await with_.state(fullName, proposal);
    assert.equal(standing.kind, 'open');
    return standing.kind === 'open' ? standing : assert.fail();
  }

  function protect(protection: Partial<Protection>): void {
    github.repository(fullName).protections.set('main', { contexts: [], approvals: 0, ...protection });
  }

  const status = (context: string, state: string) =>
    github.ask('POST', `/repos/${fullName}/statuses/${proposal.head}`, { context, state });
  const run = (name: string, conclusion: 'success' | 'failure' | 'skipped' | null) =>
    github.reportCheckRun(fullName, {
      sha: proposal.head,
      name,
      status: conclusion === null ? 'in_progress' : 'completed',
      conclusion,
    });

  it('is ready where nothing is demanded and no check is there', async () => {
    assert.deepEqual(await open(), {
      kind: 'open',
      head: proposal.head,
      pending: [],
      failing: [],
      reviews: [],
      mergeable: 'ready',
      queued: 'no',
    });
  });

  it('is nothing that a page in its place could tell', async () => {
    github.failNext({ status: 200, matching: (method, path) => method === 'GET' && path.endsWith('/pulls/1') });
    await assert.rejects(forge.state(fullName, proposal), broken);
    assert.equal((await open()).mergeable, 'ready');
  });

  describe('when it is over', () => {
    it('says who merged it, when, and to which commit', async () => {
      const commit = await github.person(fullName, 'ann').merge(1, 'squash');
      const standing = await forge.state(fullName, proposal);
      assert.deepEqual({ ...standing, at: undefined }, { kind: 'merged', commit, by: 'ann', at: undefined, reviews: [] });
      assert.ok(standing.kind === 'merged' && Date.parse(standing.at ?? '') > 0);
      assert.equal(await forge.head(fullName, 'main'), commit);
    });

    it('says who closed it', async () => {
      await github.person(fullName, 'bob').close(1);
      assert.deepEqual(await forge.state(fullName, proposal), { kind: 'closed', by: 'bob' });
    });

    it('is closed without a name where the token cannot see who did it, and where the branch was deleted', async () => {
      await github.person(fullName, 'bob').forcePush(branch, undefined);
      assert.deepEqual(await forge.state(fullName, proposal), { kind: 'closed', by: 'octocat' });
      github.failNext({ status: 404, matching: (_, path) => path.endsWith('/issues/1') });
      assert.deepEqual(await forge.state(fullName, proposal), { kind: 'closed' });
    });
  });

  it('tells the head that somebody pushed', async () => {
    const pushed = await github.pushCommit(fullName, { branch, files: { 'x.txt': 'x' } });
    assert.equal((await open()).head, pushed);
  });

  describe('with checks', () => {
    it('counts every one of the head where none is required, but never our own', async () => {
      await status('ci/lint', 'pending');
      await status('landfall/scan', 'pending');
      await status('landfall/smoke', 'failure');
      run('build', null);
      run('docs', 'skipped');
      assert.deepEqual(
        await open().then(({ pending, failing, mergeable, missing }) => ({ pending, failing, mergeable, missing })),
        { pending: ['build', 'ci/lint'], failing: [], mergeable: 'waiting', missing: 'check build, check ci/lint' },
      );
      await status('ci/lint', 'success');
      run('build', 'failure');
      const failed = await open();
      assert.deepEqual([failed.pending, failed.failing, failed.mergeable], [[], ['build'], 'waiting']);
      // Run again, the newest one counts.
      run('build', 'success');
      assert.equal((await open()).mergeable, 'ready');
    });

    for (const ruleset of [false, true]) {
      const where = ruleset ? 'a ruleset' : 'classic protection';
      it(`counts those that ${where} requires, also the ones that nobody has reported yet`, async () => {
        protect({ contexts: ['build', 'ci/lint', 'landfall/verify'], ruleset });
        run('optional', 'failure');
        assert.deepEqual((await open()).pending, ['build', 'ci/lint'], 'our own counts');
        await status('landfall/verify', 'success');
        const waiting = await open();
        assert.deepEqual([waiting.pending, waiting.failing, waiting.mergeable], [['build', 'ci/lint'], [], 'waiting']);
        run('build', 'success');
        await status('ci/lint', 'failure');
        const failed = await open();
        assert.deepEqual([failed.pending, failed.failing, failed.missing], [[], ['ci/lint'], 'check ci/lint']);
        await status('ci/lint', 'success');
        const done = await open();
        assert.deepEqual([done.pending, done.failing, done.mergeable], [[], [], 'ready']);
      });
    }

    it('reads all of them, however many pages they are', async () => {
      for (let number = 1; number <= 130; number += 1) run(`job ${number}`, 'success');
      run('last', null);
      assert.deepEqual((await open()).pending, ['last']);
    });
  });

  describe('with a fine-grained token, which cannot read checks', () => {
    let weak: Forge;

    beforeEach(() => {
      const { checks: _checks, administration: _administration, ...permissions } = allPermissions;
      github.addToken('weak', { login: 'landfall-bot', permissions: { ...permissions, actions: 'read' } });
      weak = forgeOf(github, { token: 'weak' });
    });

    it('takes the latest run of each Actions workflow and the statuses for them', async () => {
      const sha = proposal.head;
      github.reportActionsRun(fullName, { sha, name: 'ci', status: 'completed', conclusion: 'failure' });
      github.reportActionsRun(fullName, { sha, name: 'ci', status: 'in_progress', conclusion: null });
      github.reportActionsRun(fullName, { sha, name: 'lint', status: 'completed', conclusion: 'failure' });
      await status('jenkins', 'pending');
      const standing = await open(weak);
      assert.deepEqual([standing.pending, standing.failing, standing.mergeable], [['jenkins', 'ci'], ['lint'], 'waiting']);
    });

    it("trusts GitHub's own summary about what it cannot see", async () => {
      run('build', null);
      const unstable = await open(weak);
      assert.deepEqual(
        [unstable.mergeable, unstable.missing],
        ['waiting', 'a check that our token cannot read (GitHub says: unstable)'],
      );
      run('build', 'success');
      assert.equal((await open(weak)).mergeable, 'ready');
      protect({ contexts: ['e2e'] });
      const blocked = await open(weak);
      assert.deepEqual([blocked.pending, blocked.mergeable], [[], 'waiting']);
      assert.match(blocked.missing ?? '', /rules of main/);
      run('e2e', 'success');
      assert.equal((await open(weak)).mergeable, 'ready');
    });

    it('does without Actions and statuses, too', async () => {
      github.addToken('weakest', {
        login: 'landfall-bot',
        permissions: { contents: 'write', pull_requests: 'write' },
      });
      run('build', 'failure');
      const standing = await open(forgeOf(github, { token: 'weakest' }));
      assert.deepEqual([standing.pending, standing.failing, standing.mergeable], [[], [], 'waiting']);
    });
  });

  describe('with reviews', () => {
    it('gives the newest of each person that says yes or no, with the commit and the time', async () => {
      const [ann, bob] = [github.person(fullName, 'ann'), github.person(fullName, 'bob')];
      await ann.review(1, 'REQUEST_CHANGES');
      await bob.review(1, 'APPROVE', setting.base);
      await ann.review(1, 'APPROVE');
      await ann.review(1, 'COMMENT');
      const { reviews } = await open();
      assert.deepEqual(
        reviews.map(({ by, state, commit }) => [by, state, commit]),
        [
          ['ann', 'approved', proposal.head],
          ['bob', 'approved', setting.base],
        ],
      );
      assert.ok(reviews.every(({ at }) => Date.parse(at) > 0));
    });

    it('forgets a dismissed one, and the older ones of the same person with it', async () => {
      const ann = github.person(fullName, 'ann');
      await ann.review(1, 'REQUEST_CHANGES');
      const approval = await ann.review(1, 'APPROVE');
      await ann.dismiss(1, approval);
      assert.deepEqual((await open()).reviews, []);
    });

    it('waits for the ones that are required, and for who asked for changes', async () => {
      protect({ approvals: 1, ruleset: true });
      const before = await open();
      assert.deepEqual([before.mergeable, before.missing], ['waiting', 'review required']);
      const ann = github.person(fullName, 'ann');
      await ann.review(1, 'REQUEST_CHANGES');
      assert.equal((await open()).missing, 'changes requested by ann, review required');
      await ann.review(1, 'APPROVE');
      assert.equal((await open()).mergeable, 'ready');
    });

    it('reads all of them, however many pages they are', async () => {
      const ann = github.person(fullName, 'ann');
      await ann.review(1, 'COMMENT');
      const [review] = pulls(github)[0]?.reviews ?? [];
      assert.ok(review);
      for (let number = 1; number <= 120; number += 1) pulls(github)[0]?.reviews.push({ ...review, id: number });
      await github.person(fullName, 'bob').review(1, 'APPROVE');
      assert.deepEqual(
        (await open()).reviews.map(({ by }) => by),
        ['bob'],
      );
    });
  });

  it('is behind where the base demands that it is not, and only there', async () => {
    await github.pushCommit(fullName, { branch: 'main', files: { 'other.txt': 'x' } });
    assert.equal((await open()).mergeable, 'ready');
    protect({ strict: true });
    assert.equal((await open()).mergeable, 'behind');
  });

  it('is conflicting where somebody changed the same line', async () => {
    await github.pushCommit(fullName, { branch: 'main', files: { 'docker-compose.yml': 'services: {}\n' } });
    assert.equal((await open()).mergeable, 'conflicting');
  });

  it('is unknown while GitHub works it out, and waits while it is a draft', async () => {
    const [pull] = pulls(github);
    assert.ok(pull);
    pull.computing = true;
    assert.equal((await open()).mergeable, 'unknown');
    pull.computing = false;
    pull.draft = true;
    assert.deepEqual(await open().then(({ mergeable, missing }) => [mergeable, missing]), ['waiting', 'still a draft']);
  });

  for (const ruleset of [true, false]) {
    it(`tells that the base has a merge queue, by ${ruleset ? 'a ruleset' : 'classic protection'}, and that it is in it`, async () => {
      protect({ queue: true, ruleset, approvals: 1 });
      assert.equal((await open()).mergeable, 'waiting');
      await github.person(fullName, 'ann').review(1, 'APPROVE');
      const standing = await open();
      assert.deepEqual([standing.queued, standing.mergeable], ['required', 'ready']);
      const [pull] = pulls(github);
      assert.ok(pull);
      pull.queue = { id: 'x', by: 'ann', at: '2026-01-01T00:00:00Z' };
      assert.equal((await open()).queued, 'in-queue');
    });
  }

  it('waits as long as GitHub asks for, and is broken where GitHub is', async () => {
    for (const rateLimit of ['primary', 'secondary'] as const) {
      github.failNext({ rateLimit, matching: (_, path) => path.endsWith('/check-runs') });
      await assert.rejects(forge.state(fullName, proposal), RateLimit);
    }
    github.failNext({ status: 502, matching: (_, path) => path.endsWith('/reviews') });
    await assert.rejects(forge.state(fullName, proposal), broken);
  });
});
