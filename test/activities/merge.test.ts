import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createMerge } from '../../src/activities/merge.ts';
import { createPropose } from '../../src/activities/propose.ts';
import type { ProposalInput } from '../../src/contracts/activities/delivery.ts';
import type { MergeOutcome, Proposal } from '../../src/domain/outcomes.ts';
import type { ChangePlan, MergeMethod, StagePlan } from '../../src/domain/plan.ts';
import type { Forge } from '../../src/forges/forge.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { runActivity } from '../support/activity.ts';
import { createRemote, type GitRemote, gitEnvironment, somebodyIsFaster } from '../support/git-remote.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { forgeOf } from '../support/github-forge.ts';
import { imageOf, planOf, pushOf, type StageOverrides, stageOf, verifiedOf } from '../support/plans.ts';

const file = 'docker-compose.yml';
const branch = 'landfall/web-production';
const rollback = `${branch}-rollback`;
const repository = 'registry.example.test/team/web';
const compose = `# what runs in production
services:
  web:
    image: "${repository}:latest"   # by Landfall
  db:
    image: postgres:16
    restart: always
    volumes: []
  cache:
    image: redis:7
`;
const ours = compose.replace(':latest"', `:latest@${imageOf(planOf(), 'A').digest}"`);

/** Both forges do the same for the steps. */
interface Place {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly forge: () => Forge;
  readonly repository: () => string;
  /** A person commits to a branch. */
  commit(on: string, files: Record<string, string | undefined>, message: string): Promise<string>;
  /** A person gives a file another mode. */
  changeMode(on: string, path: string, mode: string): Promise<string>;
  /** A person moves a branch. */
  move(on: string, commit: string): Promise<unknown>;
  /** Any git command on the repository. */
  raw(...args: string[]): Promise<string>;
  read(on: string): Promise<string>;
  head(on: string): Promise<string | undefined>;
}

let remote: GitRemote;
let folder: string;
let github: GitHub;
let forge: Forge;

const git: Place = {
  name: 'git',
  async start() {
    remote = await createRemote({ files: { [file]: compose, 'README.md': 'production\n' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-clones-'));
    forge = createGitForge({ folder, env: gitEnvironment() });
  },
  async stop() {
    await remote.destroy();
    await rm(folder, { recursive: true, force: true });
  },
  forge: () => forge,
  repository: () => remote.folder,
  commit: (on, files, message) => remote.commit(on, files, message, 'Ann Person'),
  changeMode: (on, path, mode) => remote.changeMode(on, path, mode),
  move: (on, commit) => remote.git('update-ref', `refs/heads/${on}`, commit),
  raw: (...args) => remote.git(...args),
  read: (on) => remote.read(on, file),
  head: (on) => forge.head(remote.folder, on),
};

const onGitHub: Place = {
  name: 'GitHub',
  async start() {
    github = await startGitHub();
    await github.createRepository('team/deployment', { files: { [file]: compose, 'README.md': 'production\n' } });
    forge = forgeOf(github, { token });
  },
  stop: () => github.stop(),
  forge: () => forge,
  repository: () => 'team/deployment',
  commit(on, changed, message) {
    const files = Object.fromEntries(Object.entries(changed).map(([path, text]) => [path, text ?? null]));
    return github.pushCommit('team/deployment', { branch: on, files, message, author: 'Ann Person' });
  },
  async changeMode(on, path, mode) {
    const text = await this.raw('cat-file', 'blob', `${on}:${path}`);
    return github.pushCommit('team/deployment', {
      branch: on,
      files: { [path]: text },
      modes: { [path]: mode },
      author: 'Ann Person',
    });
  },
  move: (on, commit) => github.person('team/deployment', 'ann').forcePush(on, commit),
  raw: (...args) => github.repository('team/deployment').git.git(args),
  async read(on) {
    const text = await forge.readFile('team/deployment', (await forge.head('team/deployment', on)) ?? '', file);
    return text ?? assert.fail(`no ${file} on ${on}`);
  },
  head: (on) => forge.head('team/deployment', on),
};

const noDigest = (proposal: Proposal): Proposal => {
  const { before: _before, after: _after, baseCommit: _base, ...rest } = proposal;
  return rest;
};

function run<Input, Outcome>(activity: (input: Input) => Promise<Outcome>, input: Input): Promise<Outcome> {
  const workflowExecution = { workflowId: 'rollout:web:latest:0123456789ab', runId: 'run-1' };
  return runActivity(activity, input, { workflowExecution });
}

for (const place of [git, onGitHub]) {
  describe(`a proposal on ${place.name}`, function () {
    this.timeout(60_000);

    beforeEach(() => place.start());
    afterEach(() => place.stop());

    const stageWith = (change: Partial<ChangePlan> = {}, more: StageOverrides = {}): StagePlan => {
      const plain = stageOf('production');
      assert.ok(plain.change);
      return stageOf('production', { ...more, change: { ...plain.change, repository: place.repository(), ...change } });
    };
    async function proposed(
      word = 'A',
      change: Partial<ChangePlan> = {},
      merge: ChangePlan['merge'] = 'off',
    ): Promise<ProposalInput> {
      const stage = stageWith(change, { merge });
      const plan = planOf({ stages: [stage] });
      const image = verifiedOf(imageOf(plan, word));
      const { propose } = createPropose({ forgeFor: () => place.forge() });
      const outcome = await run(propose, { plan, stage, image, push: pushOf(image), checks: [] });
      assert.equal(outcome.kind, 'proposed');
      return { plan, stage, image, proposal: outcome.kind === 'proposed' ? outcome.proposal : assert.fail() };
    }

    const on = (with_: Forge = place.forge()) => createMerge({ forgeFor: () => with_ });

    /** Proposed, merged, and what a rollback of it is asked with. */
    async function merged(change: Partial<ChangePlan> = {}) {
      const input = await proposed('A', change);
      const outcome = await run(on().mergeChange, input);
      assert.equal(outcome.kind, 'merged');
      return { ...input, reason: 'http https://x/health answered 503' };
    }

    const refused = (type: string, message: RegExp) => ({ name: 'ApplicationFailure', type, nonRetryable: true, message });

    it('knows the base that it was made from, and what the places said before and after, with their quotes', async () => {
      const base = await place.head('main');
      const { proposal } = await proposed();
      assert.equal(proposal.baseCommit, base);
      const values = { before: [`${repository}:latest`], after: [`${repository}:latest@${imageOf(planOf(), 'A').digest}`] };
      const quoted = (texts: readonly string[]) => texts.map((text) => `"${text}"`);
      assert.deepEqual([proposal.before, proposal.after], [values.before, values.after]);
      assert.deepEqual(proposal.written, { before: quoted(values.before), after: quoted(values.after) });
    });

    it('is merged at its head, and its branch deleted; again, that is found', async () => {
      const input = await proposed();
      const outcome = await run(on().mergeChange, input);
      assert.deepEqual(outcome, { kind: 'merged', commit: await place.head('main') });
      assert.equal(await place.read('main'), ours);
      assert.equal(await place.head(branch), undefined);
      const again = await run(on().mergeChange, input);
      assert.equal(again.kind === 'merged' && again.commit, await place.head('main'));
      assert.equal((await run(on().proposalState, input)).kind, 'merged');
    });

    it('is merged although its branch cannot be deleted, and although the forge asks us to wait then', async () => {
      const input = await proposed();
      const failing: Forge = { ...place.forge(), deleteBranch: () => Promise.reject(new Error('branch is protected')) };
      assert.equal((await run(on(failing).mergeChange, input)).kind, 'merged');
      assert.ok(await place.head(branch));
      assert.deepEqual(await run(on().tidyChange, input), { kind: 'tidied' });
      assert.equal(await place.head(branch), undefined);
    });

    it('is closed and its branch deleted where it is given up; again, and after a merge, that changes nothing', async () => {
      const input = await proposed();
      await run(on().tidyChange, { ...input, close: true });
      assert.equal(await place.head(branch), undefined);
      assert.equal((await run(on().proposalState, input)).kind, 'closed');
      assert.deepEqual(await run(on().tidyChange, { ...input, close: true }), { kind: 'tidied' });
      const second = await proposed('B');
      await run(on().mergeChange, second);
      await run(on().tidyChange, { ...second, close: true });
      assert.equal((await run(on().proposalState, second)).kind, 'merged');
    });

    it('is not closed where somebody pushed to it since', async () => {
      const input = await proposed();
      await place.commit(branch, { 'notes.txt': 'x' }, 'theirs');
      await run(on().tidyChange, { ...input, close: true });
      assert.equal((await run(on().proposalState, input)).kind, 'open');
      assert.ok(await place.head(branch));
    });

    it('is not merged where somebody pushed to it', async () => {
      const input = await proposed();
      await place.commit(branch, { 'notes.txt': 'x' }, 'theirs');
      await assert.rejects(run(on().mergeChange, input), refused('HeadMoved', /somebody pushed/));
      await run(on().tidyChange, input);
      assert.ok(await place.head(branch), 'the branch with the work of a person was deleted');
    });

    describe('with what somebody else committed to its branch', () => {
      const elsewhere = () => place.read(branch).then((text) => text.replace('postgres:16', 'postgres:15'));
      const message = 'chore: update web image\n\nService: web\n\nLandfall-Rollout: rollout:web:latest:0123456789ab\n';
      const foreign: Record<string, { commit: () => Promise<string>; files: RegExp }> = {
        'a file': {
          commit: () => place.commit(branch, { 'docker-compose.override.yml': 'services: {}\n' }, 'wip'),
          files: /found docker-compose\.override\.yml \(new\), in commits of .*Ann.Person/,
        },
        "a file, under the name of Landfall's own commits": {
          commit: () => place.commit(branch, { 'folder/below/evil.sh': 'x\n' }, message),
          files: /found folder\/below\/evil\.sh \(new\),/,
        },
        'another line of the same file': {
          commit: async () => place.commit(branch, { [file]: await elsewhere() }, message),
          files: /found docker-compose\.yml \(beside the image\),/,
        },
        'another image in its place': {
          commit: async () => place.commit(branch, { [file]: compose.replace(':latest"', ':evil"') }, message),
          files: /found docker-compose\.yml \(beside the image\),/,
        },
        'the mode of the file': {
          commit: () => place.changeMode(branch, file, '100755'),
          files: /found docker-compose\.yml \(mode 100644 → 100755\),/,
        },
        'a symbolic link in its place': {
          commit: () => place.changeMode(branch, file, '120000'),
          files: /found docker-compose\.yml \(mode 100644 → 120000\),/,
        },
        'a submodule': {
          commit: () => place.changeMode(branch, 'README.md', '160000'),
          files: /found README\.md \(mode 100644 → 160000\),/,
        },
        'a file that is gone': {
          commit: () => place.commit(branch, { 'README.md': undefined }, message),
          files: /found README\.md \(gone\),/,
        },
        'the file under another name': {
          commit: async () => place.commit(branch, { [file]: undefined, 'compose.yml': await place.read(branch) }, message),
          files: /found docker-compose\.yml \(gone\), compose\.yml \(new\),/,
        },
      };
      for (const [what, { commit, files }] of Object.entries(foreign)) {
        it(`is never merged: ${what}`, async () => {
          const input = await proposed();
          const before = await place.head('main');
          const head = await commit();
          await assert.rejects(run(on().mergeChange, input), refused('HeadMoved', /somebody pushed/));
          const theirs = { ...input, proposal: { ...input.proposal, head } };
          await assert.rejects(run(on().mergeChange, theirs), refused('BranchConflict', files));
          assert.equal(await place.head('main'), before);
          assert.equal(await place.head(branch), head);
        });
      }

      it('is never merged by proposing it again, until it is taken out', async () => {
        const input = await proposed('A', {}, 'auto');
        await place.commit(branch, { 'evil.sh': 'x\n' }, message);
        for (let retry = 1; retry <= 2; retry += 1)
          await assert.rejects(proposed('A', {}, 'auto'), refused('BranchConflict', /found evil\.sh \(new\),/));
        await place.commit(branch, { 'evil.sh': undefined }, 'taken out');
        const again = await proposed('A', {}, 'auto');
        assert.notEqual(again.proposal.head, input.proposal.head);
        assert.equal((await run(on().mergeChange, again)).kind, 'merged');
        assert.equal(await place.read('main'), ours);
      });

      it('is never merged where it undoes what the base has got from two sides', async () => {
        const identity = ['-c', 'user.name=Mallory', '-c', 'user.email=mallory@example.org'];
        const commitTree = async (tree: string, ...parents: string[]) => {
          const args = parents.flatMap((parent) => ['-p', parent]);
          return (await place.raw(...identity, 'commit-tree', tree, ...args, '-m', message)).trim();
        };
        const first = await place.head('main');
        const fix = await place.commit('fix', { 'fix.txt': 'mended\n' }, 'mend a hole');
        const main = await place.commit('main', { 'other.txt': 'x\n' }, 'other');
        const both = (await place.raw('merge-tree', '--write-tree', main, fix)).trim();
        const merged = await commitTree(both, main, fix);
        await place.move('main', merged);
        const input = await proposed();
        // The tree of one side with the image: seen from there, the image is all that it changes.
        await place.move('scratch', first ?? '');
        await place.commit('scratch', { [file]: ours, 'other.txt': 'x\n' }, 'tree');
        const head = await commitTree((await place.raw('rev-parse', 'scratch^{tree}')).trim(), main, fix);
        await place.move(branch, head);
        const theirs = { ...input, proposal: { ...input.proposal, head } };
        await assert.rejects(run(on().mergeChange, theirs), refused('BranchConflict', /nobody can tell/));
        assert.equal(await place.head('main'), merged);
      });

      it('is never merged in a rollback', async () => {
        const input = await merged();
        const outcome = await run(on().revertChange, input);
        assert.ok(outcome.kind === 'proposed');
        const before = await place.head('main');
        const head = await place.commit(rollback, { 'evil.sh': 'x\n' }, message);
        const theirs = { ...input, proposal: { ...outcome.proposal, head } };
        const found = refused('BranchConflict', /-rollback of .* found evil\.sh \(new\),/);
        await assert.rejects(run(on().mergeChange, theirs), found);
        await assert.rejects(run(on().revertChange, input), found);
        assert.equal(await place.head('main'), before);
      });

      it('is not merged where a rollback puts back something else', async () => {
        const input = await merged();
        const outcome = await run(on().revertChange, input);
        assert.ok(outcome.kind === 'proposed');
        const head = await place.commit(rollback, { [file]: compose.replace(':latest"', ':evil"') }, message);
        const theirs = { ...input, proposal: { ...outcome.proposal, head } };
        await assert.rejects(run(on().mergeChange, theirs), refused('BranchConflict', /beside the image/));
      });
    });

    it('is not taken for merged where somebody only says so', async () => {
      const input = await proposed();
      const main = (await place.head('main')) ?? '';
      const identity = ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org'];
      const parents = ['-p', main, '-p', input.proposal.head];
      // As `git merge --strategy ours` does it: the base stays as it is.
      const args = [...identity, 'commit-tree', `${main}^{tree}`, ...parents, '-m', 'Merge'];
      await place.move('main', (await place.raw(...args)).trim());
      await assert.rejects(run(on().mergeChange, input), refused('BaseMovedOn', /does not have what it proposed/));
    });

    it('is looked at for whether the base holds it: not before, after, in other quotes, and not once it is gone', async () => {
      const input = await proposed();
      const look = async () => {
        const state = await run(on().baseHolds, input);
        assert.ok(state.kind === 'looked');
        assert.equal(state.commit, await place.head('main'));
        return state.holds;
      };
      assert.equal(await look(), false);
      await run(on().mergeChange, input);
      assert.equal(await look(), true);
      await place.commit('main', { [file]: ours.replaceAll('"', "'") }, 'quotes');
      assert.equal(await look(), true);
      await place.commit('main', { [file]: compose }, 'back');
      assert.equal(await look(), false);
    });

    describe('that is rolled back', () => {
      it('is undone byte for byte on a branch of its own, merged like any other', async () => {
        const input = await merged();
        const outcome = await run(on().revertChange, input);
        assert.ok(outcome.kind === 'proposed');
        const { proposal } = outcome;
        assert.deepEqual(
          [proposal.branch, proposal.before, proposal.after],
          [rollback, input.proposal.after, input.proposal.before],
        );
        assert.equal(await place.read('main'), ours);
        const revert = { ...input, proposal };
        assert.equal((await run(on().proposalState, revert)).kind, 'open');
        assert.equal((await run(on().mergeChange, revert)).kind, 'merged');
        assert.equal(await place.read('main'), compose);
        assert.equal(await place.head(rollback), undefined);
        const holds = await run(on().baseHolds, revert);
        assert.equal(holds.kind === 'looked' && holds.holds, true);
      });

      it('is proposed once, however often it is tried', async () => {
        const input = await merged();
        const first = await run(on().revertChange, input);
        assert.deepEqual(await run(on().revertChange, input), first);
      });

      it('is unchanged where the base says it already, before and after the merge of the rollback', async () => {
        const input = await merged();
        const back = await place.commit('main', { [file]: compose.replaceAll('"', '') }, 'back, without quotes');
        assert.deepEqual(await run(on().revertChange, input), { kind: 'unchanged', base: 'main', head: back });
      });

      it("keeps a person's later commit to other lines and files", async () => {
        const input = await merged();
        await place.commit('main', { [file]: ours.replace('redis:7', 'redis:8'), 'notes.txt': 'kept\n' }, 'newer cache');
        const outcome = await run(on().revertChange, input);
        assert.ok(outcome.kind === 'proposed');
        // And one that comes after the rollback was proposed.
        await place.commit('main', { [file]: ours.replace('redis:7', 'redis:9') }, 'newest cache');
        assert.equal((await run(on().mergeChange, { ...input, proposal: outcome.proposal })).kind, 'merged');
        assert.equal(await place.read('main'), compose.replace('redis:7', 'redis:9'));
      });

      it("does not undo a person's later change of the image, and names it", async () => {
        const input = await merged();
        const theirs = compose.replace(':latest"', ':hotfix"');
        const commit = await place.commit('main', { [file]: theirs }, 'hotfix by hand');
        await assert.rejects(
          run(on().revertChange, input),
          refused(
            'BaseMovedOn',
            new RegExp(`services\\.web\\.image says '.*:hotfix', since ${commit.slice(0, 12)} of Ann.Person: hotfix by hand`),
          ),
        );
        assert.equal(await place.read('main'), theirs);
        assert.equal(await place.head(rollback), undefined);
      });

      it('is refused where the service is gone, and names the commit', async () => {
        const input = await merged();
        await place.commit('main', { [file]: 'services:\n  db:\n    image: postgres:16\n' }, 'no web any more');
        await assert.rejects(
          run(on().revertChange, input),
          refused('BaseMovedOn', /no service 'web'.* of Ann.Person: no web any more/),
        );
      });

      it('is refused where the proposal does not know what was before', async () => {
        const input = await merged();
        await assert.rejects(
          run(on().revertChange, { ...input, proposal: noDigest(input.proposal) }),
          refused('NothingBefore', /put the previous image back by hand/),
        );
      });

      it('is not written over what a person committed to its branch', async () => {
        const input = await merged();
        await place.commit(rollback, { 'notes.txt': 'x' }, 'mine');
        await assert.rejects(
          run(on().revertChange, input),
          refused('BranchConflict', /-rollback of .* found notes\.txt \(new\)/),
        );
      });

      it('can happen again with the next image, although an old rollback was never merged', async () => {
        const input = await merged();
        assert.equal((await run(on().revertChange, input)).kind, 'proposed');
        const next = await proposed('B');
        assert.equal((await run(on().mergeChange, next)).kind, 'merged');
        const outcome = await run(on().revertChange, { ...next, reason: 'again' });
        assert.ok(outcome.kind === 'proposed');
        assert.equal((await run(on().mergeChange, { ...next, proposal: outcome.proposal })).kind, 'merged');
        assert.equal(await place.read('main'), ours);
      });
    });

    it('stops before the next call once it is cancelled', async () => {
      const input = await proposed();
      const environment_ = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
      const cancelling: Forge = {
        ...place.forge(),
        async merge(merge) {
          const outcome = await place.forge().merge(merge);
          environment_.cancel();
          return outcome;
        },
        deleteBranch: () => assert.fail('the branch was deleted'),
      };
      const { mergeChange } = createMerge({ forgeFor: () => cancelling });
      const outcome: MergeOutcome = await environment_.run(mergeChange, input);
      assert.equal(outcome.kind, 'merged');
      assert.ok(await place.head(branch));
      const cancelled = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
      cancelled.cancel();
      await assert.rejects(cancelled.run(mergeChange, input), { name: 'CancelledFailure' });
    });
  });
}

describe('a proposal on git that a person', () => {
  beforeEach(() => git.start());
  afterEach(() => git.stop());

  async function proposed(): Promise<ProposalInput> {
    const plain = stageOf('production');
    assert.ok(plain.change);
    const stage = stageOf('production', { change: { ...plain.change, repository: remote.folder } });
    const plan = planOf({ stages: [stage] });
    const image = verifiedOf(imageOf(plan, 'A'));
    const { propose } = createPropose({ forgeFor: () => forge });
    const outcome = await run(propose, { plan, stage, image, push: pushOf(image), checks: [] });
    assert.ok(outcome.kind === 'proposed');
    return { plan, stage, image, proposal: outcome.proposal };
  }

  it('took by squashing it counts as merged, whether they left the branch or not', async () => {
    const input = await proposed();
    const look = () => run(createMerge({ forgeFor: () => forge }).proposalState, input);
    assert.equal((await look()).kind, 'open');
    await remote.commit(branch, { 'notes.txt': 'amended' }, 'amended');
    assert.equal((await look()).kind, 'open');
    const commit = await remote.commit('main', { [file]: ours, 'notes.txt': 'amended' }, 'squashed');
    assert.deepEqual(await look(), { kind: 'merged', commit });
    await remote.git('branch', '-D', branch);
    assert.deepEqual(await look(), { kind: 'merged', commit });
    await remote.commit('main', { [file]: compose }, 'taken back');
    assert.deepEqual(await look(), { kind: 'closed' });
  });

  it('overtakes on the base is merged on top of theirs, in one go', async () => {
    const input = await proposed();
    await remote.hook('pre-receive', somebodyIsFaster(join(folder, 'raced')));
    const { mergeChange } = createMerge({ forgeFor: () => forge });
    assert.equal((await run(mergeChange, input)).kind, 'merged');
    assert.deepEqual(
      (await remote.log('main')).map(({ author }) => author),
      ['Landfall', 'Ann', 'Ann Person'],
    );
  });
});

describe('a proposal at GitHub, with its own rules,', function () {
  this.timeout(60_000);

  beforeEach(() => onGitHub.start());
  afterEach(() => onGitHub.stop());

  const fullName = 'team/deployment';

  async function proposed(): Promise<ProposalInput> {
    const plan = planOf({ stages: [stageOf('production', { merge: 'auto', mergeMethod: 'rebase' })] });
    const [stage] = plan.stages;
    assert.ok(stage);
    const image = verifiedOf(imageOf(plan, 'A'));
    const { propose } = createPropose({ forgeFor: () => forge });
    const outcome = await run(propose, { plan, stage, image, push: pushOf(image), checks: [] });
    assert.ok(outcome.kind === 'proposed');
    return { plan, stage, image, proposal: outcome.proposal };
  }
  const merge = (input: ProposalInput) => run(createMerge({ forgeFor: () => forge }).mergeChange, input);
  const look = (input: ProposalInput) => run(createMerge({ forgeFor: () => forge }).proposalState, input);

  for (const [state, text] of [
    ['behind', compose.replace('redis:7', 'redis:8')],
    ['conflicting', compose.replace(':latest"', ':old"')],
  ] as const) {
    it(`that is ${state} is brought up to date by proposing again, and its new head is the one that is merged`, async () => {
      const first = await proposed();
      await onGitHub.commit('main', { [file]: text }, 'meanwhile');
      github.repository(fullName).protections.set('main', { contexts: [], approvals: 0, strict: true });
      const standing = await look(first);
      assert.equal(standing.kind === 'open' && standing.mergeable, state);
      assert.equal((await merge(first)).kind, 'not-yet');
      const second = await proposed();
      assert.equal(second.proposal.number, first.proposal.number);
      await assert.rejects(merge(first), { type: 'HeadMoved' });
      assert.equal((await merge({ ...second, stage: withMethod(second.stage, 'squash') })).kind, 'merged');
      assert.equal(await onGitHub.read('main'), ours.replace('redis:7', state === 'behind' ? 'redis:8' : 'redis:7'));
    });
  }

  it('is merged by the method of the plan', async () => {
    assert.equal((await merge(await proposed())).kind, 'merged');
    const { message } = await github.repository(fullName).git.readCommit((await onGitHub.head('main')) ?? '');
    assert.match(message, /^chore: update web image\n/, 'a rebase keeps the commit as it was');
  });

  it('keeps its branch while the merge queue has it', async () => {
    const input = await proposed();
    github.repository(fullName).protections.set('main', { contexts: [], approvals: 0, queue: true, ruleset: true });
    assert.deepEqual(await merge(input), { kind: 'queued' });
    const standing = await look(input);
    assert.equal(standing.kind === 'open' && standing.queued, 'in-queue');
    assert.ok(await onGitHub.head(branch));
    const commit = await github.finishQueue(fullName, 1, 'merged');
    const merged = await look(input);
    assert.equal(merged.kind === 'merged' && merged.commit, commit);
  });

  it('waits until GitHub may be asked again', async () => {
    const input = await proposed();
    for (const act of [merge, look]) {
      github.failNext({ rateLimit: 'secondary', seconds: 90 });
      const outcome = await act(input);
      assert.ok(outcome.kind === 'rate-limited' && Date.parse(outcome.until) > Date.now() + 60_000);
    }
  });

  it('is merged once by a worker whose answers are cut off again and again', async () => {
    const input = await proposed();
    const onMerge = (method: string, path: string) => method === 'PUT' && path.endsWith('/merge');
    github.failNext({ cut: true, matching: onMerge });
    github.failNext({ cut: true, afterwards: true, matching: onMerge });
    let outcome: MergeOutcome | undefined;
    for (let attempt = 1; outcome === undefined && attempt <= 5; attempt += 1)
      outcome = await merge(input).catch(() => undefined);
    const { git } = github.repository(fullName);
    assert.deepEqual(outcome, { kind: 'merged', commit: await onGitHub.head('main'), by: 'landfall-bot' });
    assert.equal(await git.countBetween(input.proposal.baseCommit ?? '', 'main'), 1);
    assert.equal(await onGitHub.head(branch), undefined);
  });

  it('is rolled back where the base demands the checks of the proposal', async () => {
    const input = await proposed();
    await merge(input);
    github
      .repository(fullName)
      .protections.set('main', { contexts: ['landfall/verify', 'landfall/scan', 'landfall/smoke'], approvals: 0 });
    const { revertChange } = createMerge({ forgeFor: () => forge });
    const outcome = await run(revertChange, { ...input, reason: 'answered 503; cc @everyone <b>' });
    assert.ok(outcome.kind === 'proposed');
    const [, pull] = github.repository(fullName).pulls;
    assert.equal(pull?.title, 'revert: roll back web from latest');
    assert.match(pull?.body ?? '', /\*\*Why:\*\* answered 503; cc @\u200beveryone \\<b\\>/);
    assert.equal((await merge({ ...input, proposal: outcome.proposal })).kind, 'merged');
    assert.equal(await onGitHub.read('main'), compose);
  });
});

function withMethod(stage: StagePlan, mergeMethod: MergeMethod): StagePlan {
  return { ...stage, ...(stage.change && { change: { ...stage.change, mergeMethod } }) };
}
