import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { createPropose } from '../../src/activities/propose.ts';
import type { ProposeInput } from '../../src/contracts/activities/delivery.ts';
import type { Tag } from '../../src/domain/image-reference.ts';
import type { ProposeOutcome } from '../../src/domain/outcomes.ts';
import type { ChangePlan, Plan } from '../../src/domain/plan.ts';
import type { CheckReport } from '../../src/domain/proposal.ts';
import { type ChangeRequest, createForgeFor, type Forge } from '../../src/forges/forge.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { forges } from '../../src/forges/index.ts';
import { createRemote, type GitRemote, gitEnvironment } from '../support/git-remote.ts';
import { imageOf, planOf, pushOf, stageOf, verifiedOf } from '../support/plans.ts';

const branch = 'landfall/web-production';
const repository = 'registry.example.test/team/web';
const compose = `# what runs in production
services:
  web:
    image: ${repository}:latest # by Landfall
  db:
    image: postgres:16
`;

describe('propose', () => {
  let remote: GitRemote;
  let folder: string;
  let forge: Forge;

  beforeEach(async () => {
    remote = await createRemote({ files: { 'docker-compose.yml': compose, 'README.md': 'production\n' } });
    folder = await mkdtemp(join(tmpdir(), 'landfall-clones-'));
    forge = createGitForge({ folder, env: gitEnvironment() });
  });

  afterEach(async () => {
    await remote.destroy();
    await rm(folder, { recursive: true, force: true });
  });

  interface Wish {
    readonly word?: string;
    readonly tag?: string;
    readonly plan?: Partial<Plan>;
    readonly change?: Partial<ChangePlan>;
    readonly asked?: boolean;
    readonly merge?: ChangePlan['merge'];
  }

  function inputOf({
    word = 'A',
    tag = 'latest',
    plan: overrides = {},
    change = {},
    asked,
    merge = 'off',
  }: Wish = {}): ProposeInput {
    const plain = stageOf('production');
    assert.ok(plain.change);
    const stage = stageOf('production', { merge, change: { ...plain.change, repository: remote.folder, ...change } });
    const plan = planOf({ ...overrides, stages: [stage] });
    const image = verifiedOf(imageOf(plan, word, tag));
    return { plan, stage, image, push: pushOf(image), checks: [], ...(asked === undefined ? {} : { manual: asked }) };
  }

  const environmentOf = ({ plan, image }: ProposeInput) =>
    new MockActivityEnvironment(
      { workflowExecution: { workflowId: `rollout:${plan.service}:${image.tag}:${image.digest.slice(7, 19)}`, runId: 'run-1' } },
      { logger: new DefaultLogger('ERROR') },
    );

  function propose(wish?: Wish, with_: Forge = forge): Promise<ProposeOutcome> {
    const input = inputOf(wish);
    const activity = createPropose({ forgeFor: () => with_ });
    return environmentOf(input).run(activity.propose, input);
  }

  async function proposedHead(wish?: Wish, with_?: Forge): Promise<string> {
    const outcome = await propose(wish, with_);
    assert.equal(outcome.kind, 'proposed');
    return outcome.kind === 'proposed' ? outcome.proposal.head : '';
  }

  const lineOf = (word: string, tag = 'latest') =>
    `    image: ${repository}:${tag}@${imageOf(planOf(), word).digest} # by Landfall`;
  const changedLines = async (from = 'main', to = branch) =>
    (await remote.diff(`${from}...${to}`, '--')).split('\n').filter((line) => /^[-+](?![-+])/.test(line));
  const refused = (type: string, message: RegExp) => ({ name: 'ApplicationFailure', type, nonRetryable: true, message });

  describe('for the first time', () => {
    it('makes a branch whose one changed line pins the image', async () => {
      const outcome = await propose();
      const [newest] = await remote.log(branch);
      assert.deepEqual(outcome, {
        kind: 'proposed',
        proposal: {
          kind: 'branch',
          url: `${remote.folder}#${branch}`,
          branch,
          base: 'main',
          head: newest?.sha,
          baseCommit: newest?.parents[0],
          before: [`${repository}:latest`],
          after: [`${repository}:latest@${imageOf(planOf(), 'A').digest}`],
        },
      });
      assert.deepEqual(await changedLines(), [`-    image: ${repository}:latest # by Landfall`, `+${lineOf('A')}`]);
      assert.match(
        newest?.message ?? '',
        /^chore: update web image\n\nService: web\n[\s\S]*\nLandfall-Rollout: rollout:web:latest:[0-9a-f]{12}$/,
      );
    });

    it('changes nothing where the base has it already, and opens nothing', async () => {
      const head = await remote.commit(
        'main',
        { 'docker-compose.yml': compose.replace(/^.*by Landfall$/m, lineOf('A')) },
        'by hand',
      );
      assert.deepEqual(await propose(), { kind: 'unchanged', base: 'main', head });
      assert.deepEqual(await remote.branches(), ['main']);
    });

    it('is refused where the branch, the file or the service is missing, and says what is there', async () => {
      await assert.rejects(propose({ change: { base: 'production' } }), refused('ForgeRefused', /branch production/));
      await assert.rejects(
        propose({ change: { file: 'compose.yml' } }),
        refused('FileNotFound', /compose\.yml on branch main of/),
      );
      const target = { kind: 'compose', services: ['api'] } as const;
      await assert.rejects(propose({ change: { target } }), refused('TargetNotFound', /docker-compose\.yml[\s\S]*web/));
      assert.deepEqual(await remote.branches(), ['main']);
    });
  });

  describe('again', () => {
    it('finds what it has done: one branch, one commit', async () => {
      const first = await proposedHead();
      assert.equal(await proposedHead(), first);
      assert.equal((await remote.log(branch)).length, 2);
    });

    for (const at of ['commitFiles', 'openChange'] as const) {
      it(`finds it after SIGKILL at ${at}, and says one change and one commit`, async () => {
        const input = inputOf();
        await killWhenHanging({ input, folder, workflowId: 'rollout:web:latest:killed', at });
        const changes: ChangeRequest[] = [];
        const watched: Forge = {
          ...forge,
          openChange(change) {
            changes.push(change);
            return forge.openChange(change);
          },
        };
        const head = await proposedHead({}, watched);
        assert.deepEqual(await remote.branches(), [branch, 'main']);
        assert.equal((await remote.log(branch)).length, 2);
        assert.deepEqual(
          changes.map((change) => change.head),
          [head],
        );
      });
    }

    it('ends with the newest of A, B and A, without rewinding the branch', async () => {
      const heads = [await proposedHead({ word: 'A' }), await proposedHead({ word: 'B' }), await proposedHead({ word: 'A' })];
      assert.deepEqual(await changedLines(), [`-    image: ${repository}:latest # by Landfall`, `+${lineOf('A')}`]);
      assert.deepEqual((await remote.log(branch)).map(({ sha }) => sha).slice(0, 3), heads.toReversed());
    });

    it('brings the branch up to date with a base that moved, even where both changed the same lines', async () => {
      const first = await proposedHead({ word: 'A' });
      const base = await remote.commit(
        'main',
        { 'docker-compose.yml': compose.replace(':latest #', ':latest  #'), new: '1' },
        'meanwhile',
      );
      const second = await proposedHead({ word: 'B' });
      assert.deepEqual((await remote.log(branch))[0]?.parents, [first, base]);
      assert.equal(await remote.read(second, 'new'), '1');
      assert.equal((await changedLines()).length, 2);
    });

    it('brings an unchanged proposal up to date, too, and only once', async () => {
      await proposedHead();
      await remote.commit('main', { new: '1' }, 'meanwhile');
      const head = await proposedHead();
      assert.equal(await remote.read(head, 'new'), '1');
      assert.equal(await proposedHead(), head);
    });

    it('goes on with a branch that was merged and not deleted', async () => {
      await remote.git('update-ref', 'refs/heads/main', await proposedHead({ word: 'A' }));
      await remote.commit('main', { new: '1' }, 'meanwhile');
      await proposedHead({ word: 'B' });
      assert.deepEqual(await changedLines(), [`-${lineOf('A')}`, `+${lineOf('B')}`]);
    });

    it('starts anew after the branch was deleted', async () => {
      await proposedHead({ word: 'A' });
      await remote.git('branch', '-D', branch);
      await proposedHead({ word: 'B' });
      assert.equal((await remote.log(branch)).length, 2);
    });
  });

  describe('when the base has what the registry has gone back to', () => {
    beforeEach(async () => {
      await remote.commit('main', { 'docker-compose.yml': compose.replace(/^.*by Landfall$/m, lineOf('A')) }, 'A');
      await proposedHead({ word: 'B' });
    });

    it('takes back the open proposal of another digest of that tag: merging it would change nothing', async () => {
      assert.equal((await propose({ word: 'A' })).kind, 'unchanged');
      assert.deepEqual(await changedLines(), []);
      const withdrawn = await remote.log(branch);
      assert.equal((await propose({ word: 'A' })).kind, 'unchanged');
      assert.deepEqual(await remote.log(branch), withdrawn);
    });

    it('leaves a proposal of another tag alone', async () => {
      const plan = { tags: { kind: 'exact', tags: ['latest', 'stable'] as Tag[] } } as const;
      const head = await proposedHead({ word: 'C', tag: 'stable', plan });
      assert.equal((await propose({ word: 'A', plan })).kind, 'unchanged');
      assert.equal((await remote.log(branch))[0]?.sha, head);
    });

    it('leaves a branch alone that a person has committed to', async () => {
      const head = await remote.commit(branch, { 'README.md': 'B needs this\n' }, 'prepare for B');
      assert.equal((await propose({ word: 'A' })).kind, 'unchanged');
      assert.equal((await remote.log(branch))[0]?.sha, head);
    });
  });

  describe('with commits of a person on the branch', () => {
    it('keeps them, in the same file and in others, and writes the image on top', async () => {
      await proposedHead({ word: 'A' });
      const person = await remote.commit(
        branch,
        {
          'README.md': 'needs the new image\n',
          'docker-compose.yml': compose.replace(/^.*by Landfall$/m, `${lineOf('A')}\n    environment: { NEW: "1" }`),
        },
        'prepare',
      );
      const head = await proposedHead({ word: 'B' });
      const [newest, below] = await remote.log(branch);
      assert.deepEqual([newest?.sha, newest?.parents, below?.sha], [head, [person], person]);
      assert.equal(await remote.read(branch, 'README.md'), 'needs the new image\n');
      assert.match(await remote.read(branch, 'docker-compose.yml'), /NEW: "1"/);
      assert.deepEqual(await changedLines(person), [`-${lineOf('A')}`, `+${lineOf('B')}`]);
    });

    it('adds nothing where the image stands there already, even behind the base', async () => {
      await proposedHead();
      const person = await remote.commit(branch, { 'README.md': 'mine\n' }, 'prepare');
      await remote.commit('main', { new: '1' }, 'meanwhile');
      assert.equal(await proposedHead(), person);
    });

    it('is blocked where Landfall is to merge it, with the files and whom they are by, until they are taken out', async () => {
      await proposedHead({ word: 'A' });
      const files = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`folder/${index}.sh`, 'x\n']));
      const person = await remote.commit(branch, { ...files, 'README.md': undefined }, 'prepare', 'Mallory');
      await assert.rejects(
        propose({ word: 'B', merge: 'auto' }),
        refused(
          'BranchConflict',
          /^expected landfall\/web-production .* found README\.md \(gone\), folder\/0\.sh \(new\), .*, 3 more, in commits of Landfall, Mallory\. .*revert the others or delete the branch, then retry; or merge it by hand/,
        ),
      );
      // A person can merge it: the image is there, on top of what they did.
      assert.deepEqual(await changedLines(person), [`-${lineOf('A')}`, `+${lineOf('B')}`]);
      const none = Object.fromEntries(Object.keys(files).map((path) => [path, undefined]));
      const cleared = await remote.commit(branch, { ...none, 'README.md': 'production\n' }, 'taken out', 'Mallory');
      assert.equal(await proposedHead({ word: 'B', merge: 'auto' }), cleared);
    });

    it('says so where a person may merge it, and only then', async () => {
      const first = await propose({ word: 'A' });
      assert.equal(first.kind === 'proposed' && 'foreign' in first.proposal, false);
      await remote.commit(branch, { 'README.md': 'mine\n' }, 'prepare');
      const second = await propose({ word: 'B', merge: 'manual' });
      assert.equal(second.kind === 'proposed' && second.proposal.foreign, true);
    });

    it("takes no commit for Landfall's by what it says of itself", async () => {
      const [, { message } = { message: '' }] = [await proposedHead({ word: 'A' }), (await remote.log(branch))[0]];
      await remote.commit(branch, { 'evil.sh': 'x\n' }, message, 'Landfall');
      await remote.commit('main', { new: '1' }, 'meanwhile');
      await proposedHead({ word: 'B' });
      assert.equal(await remote.read(branch, 'evil.sh'), 'x\n', 'what a person committed is kept');
      await assert.rejects(propose({ word: 'B', merge: 'auto' }), refused('BranchConflict', /evil\.sh \(new\)/));
    });

    it("takes a person's commit for no harm where it brings what Landfall would, such as the base", async () => {
      await proposedHead({ word: 'A' });
      await remote.commit('main', { new: '1' }, 'meanwhile');
      const tree = (await remote.git('merge-tree', '--write-tree', 'main', branch)).trim();
      const identity = ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org'];
      const update = ['commit-tree', tree, '-p', branch, '-p', 'main', '-m', 'Merge main'];
      await remote.git('update-ref', `refs/heads/${branch}`, (await remote.git(...identity, ...update)).trim());
      const head = await proposedHead({ word: 'B', merge: 'auto' });
      assert.deepEqual(await changedLines(), [`-    image: ${repository}:latest # by Landfall`, `+${lineOf('B')}`]);
      assert.equal((await remote.log(branch))[0]?.sha, head);
    });

    it('is blocked where they took the image or the file away, and says what to do', async () => {
      await proposedHead({ word: 'A' });
      await remote.commit(branch, { 'docker-compose.yml': 'services:\n  db:\n    image: postgres:16\n' }, 'no web');
      await assert.rejects(
        propose({ word: 'B' }),
        refused('BranchConflict', /web[\s\S]*merge or revert it, or delete the branch, then retry/),
      );
      const head = await remote.commit(branch, { 'docker-compose.yml': undefined }, 'no file');
      await assert.rejects(
        propose({ word: 'B' }),
        refused('BranchConflict', /expected the file docker-compose\.yml on the branch/),
      );
      assert.equal((await remote.log(branch))[0]?.sha, head);
    });
  });

  describe('in order', () => {
    const plan = { tags: { kind: 'semver', range: '>=1' } } as const;

    beforeEach(() => remote.commit('main', { 'docker-compose.yml': compose.replace(':latest', ':1.10.0') }, '1.10.0'));

    it('never goes back to an earlier version by itself', async () => {
      assert.deepEqual(await propose({ plan, tag: '1.9.0' }), { kind: 'outdated', tag: '1.10.0' });
      assert.deepEqual(await remote.branches(), ['main']);
    });

    it('goes back where an operator asks for it', async () => {
      await proposedHead({ plan, tag: '1.9.0', asked: true });
      assert.deepEqual(await changedLines(), [`-    image: ${repository}:1.10.0 # by Landfall`, `+${lineOf('A', '1.9.0')}`]);
    });

    it('goes on to a later version, and to a tag from one that is not followed', async () => {
      await proposedHead({ plan, tag: '1.11.0' });
      await remote.commit('main', { 'docker-compose.yml': compose }, 'latest');
      await proposedHead({ plan, tag: '1.2.0' });
      assert.equal((await changedLines()).length, 2);
    });
  });

  describe('with somebody else at the branch', () => {
    it('looks again when they push in between, and keeps what they pushed', async () => {
      await proposedHead({ word: 'A' });
      let interruptions = 0;
      const interrupted: Forge = {
        ...forge,
        async commitFiles(commit) {
          if (interruptions++ === 0) await remote.commit(branch, { 'README.md': 'theirs\n' }, 'theirs');
          return forge.commitFiles(commit);
        },
      };
      await proposedHead({ word: 'B' }, interrupted);
      assert.equal(interruptions, 2);
      assert.equal(await remote.read(branch, 'README.md'), 'theirs\n');
      assert.equal(await remote.read(branch, 'docker-compose.yml'), compose.replace(/^.*by Landfall$/m, lineOf('B')));
    });

    it('gives up for now, to be tried again, when the branch does not keep still', async () => {
      await proposedHead({ word: 'A' });
      let count = 0;
      const restless: Forge = {
        ...forge,
        async commitFiles(commit) {
          await remote.commit(branch, { 'README.md': `${count++}\n` }, 'again');
          return forge.commitFiles(commit);
        },
      };
      await assert.rejects(propose({ word: 'B' }, restless), { name: 'BranchMoved' });
      assert.equal(count, 3);
    });

    it('ends with one branch and one commit when it runs four times at once', async () => {
      const others = ['one', 'two', 'three'].map((name) => createGitForge({ folder: join(folder, name), env: gitEnvironment() }));
      const heads = await Promise.all([forge, ...others].map((each) => proposedHead({}, each)));
      assert.equal(new Set(heads).size, 1);
      assert.equal((await remote.log(branch)).length, 2);
    });

    it('tells what the remote says when it refuses the push', async () => {
      await remote.hook('pre-receive', 'echo "frozen for the holidays" >&2; exit 1');
      await assert.rejects(propose(), refused('ForgeRefused', /frozen for the holidays/));
    });
  });

  it('opens the change with the configured texts and people, and reports the checks on its head', async () => {
    const changes: ChangeRequest[] = [];
    const reports: { head: string; checks: readonly CheckReport[] }[] = [];
    const watched: Forge = {
      ...forge,
      async openChange(change) {
        changes.push(change);
        return forge.openChange(change);
      },
      async reportChecks(_repository, head, checks) {
        reports.push({ head, checks });
      },
    };
    const change = { title: 'new {service} for {stage}', labels: ['image'], reviewers: ['ann'], assignees: ['bob'] };
    const head = await proposedHead({ change }, watched);
    const [{ body, ...rest } = { body: '' }, ...more] = changes;
    const texts = { title: 'new web for production', labels: ['image'], reviewers: ['ann'], assignees: ['bob'] };
    assert.deepEqual(rest, { repository: remote.folder, base: 'main', branch, head, ...texts });
    assert.match(body, /## Image Details/);
    assert.equal(more.length, 0);
    assert.deepEqual(
      reports.map((report) => [report.head, report.checks.map(({ context }) => context)]),
      [[head, ['landfall/verify']]],
    );
  });

  it('stops before the next call once it is cancelled', async () => {
    const input = inputOf();
    const environment = environmentOf(input);
    const cancelling: Forge = {
      ...forge,
      async commitFiles(commit) {
        const made = await forge.commitFiles(commit);
        environment.cancel();
        return made;
      },
      openChange: () => assert.fail('the change was opened'),
    };
    await assert.rejects(environment.run(createPropose({ forgeFor: () => cancelling }).propose, input), {
      name: 'CancelledFailure',
    });
  });

  it('is refused for a repository on GitHub where GitHub is not configured, naming the setting', async () => {
    const input = inputOf({ change: { repository: 'team/deployment' } });
    const { propose: onNoGitHub } = createPropose({ forgeFor: createForgeFor(forges, new Map([['git', forge]])) });
    await assert.rejects(
      environmentOf(input).run(onNoGitHub, input),
      refused('ForgeRefused', /'team\/deployment'.*forge\.github/),
    );
  });
});

/** Runs `propose` in a process of its own, and ends that with SIGKILL where it is told to hang. */
async function killWhenHanging(order: { input: ProposeInput; folder: string; workflowId: string; at: string }): Promise<void> {
  const script = fileURLToPath(new URL('propose-and-hang.ts', import.meta.url));
  const child = spawn(process.execPath, [script, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  const hanging = new Promise<void>((resolve) =>
    child.stdout.on('data', (chunk: Buffer) => chunk.includes('hanging') && resolve()),
  );
  await Promise.race([hanging, ended]);
  child.kill('SIGKILL');
  assert.equal(await ended, 'SIGKILL', 'the process was to be killed while it hung');
}
