import assert from 'node:assert/strict';
import { BranchMoved } from '../../src/forges/forge.ts';
import { allPermissions } from '../support/github/access.ts';
import type { GitHub } from '../support/github/server.ts';
import {
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

const started: GitHub[] = [];

async function setUp(): Promise<Setting> {
  const setting = await startDeployment();
  started.push(setting.github);
  return setting;
}

describe('the forge github', function () {
  // The emulator reads GitHub's description once (13 MB), and compiles each operation's schema at its first use.
  this.timeout(60_000);

  afterEach(async () => {
    for (const github of started.splice(0)) await github.stop();
  });

  describe('branches and files', () => {
    it('tells the head of a branch, and that a branch does not exist', async () => {
      const { github, forge } = await setUp();
      const pushed = await github.pushCommit(fullName, { branch: 'feature/a+b', files: { 'x.txt': 'x' } });
      assert.equal(await forge.head(fullName, 'feature/a+b'), pushed);
      assert.equal(await forge.head(fullName, 'feature'), undefined);
      assert.equal(await forge.head(fullName, 'gone'), undefined);
    });

    it('refuses a repository that does not exist, or that the token cannot see', async () => {
      const { github } = await setUp();
      await github.createRepository('team/secret', { private: true });
      github.addToken('other', { login: 'other', permissions: allPermissions, repositories: [fullName] });
      const forge = forgeOf(github, { token: 'other' });
      for (const name of ['team/secret', 'team/none']) {
        await assert.rejects(
          forge.head(name, 'main'),
          refused('ForgeRefused', /no such repository .* cannot see team\/(secret|none)/),
        );
      }
      await assert.rejects(
        forge.head('no-slash', 'main'),
        refused('ForgeRefused', /expected a repository at GitHub as owner\/name/),
      );
    });

    it('reads text at a commit byte for byte: byte order mark, line ends and characters of four bytes', async () => {
      const { github, forge } = await setUp();
      const text = '\uFEFFa: 1\r\nb: "🚀"\r\n\r\n';
      const commit = await github.pushCommit(fullName, { branch: 'main', files: { 'deep/er/file.yml': text } });
      assert.equal(await forge.readFile(fullName, commit, 'deep/er/file.yml'), text);
      assert.equal(await forge.readFile(fullName, commit, 'deep/er'), undefined);
      assert.equal(await forge.readFile(fullName, commit, 'deep/none/file.yml'), undefined);
      assert.equal(await forge.readFile(fullName, commit, `${file}/below`), undefined);
    });

    it('reads a file that is larger than what the contents API gives', async () => {
      const { github, forge } = await setUp();
      const text = `${'0123456789abcdef'.repeat(64)}\n`.repeat(3 * 1024);
      const commit = await github.pushCommit(fullName, { branch: 'main', files: { 'large.yml': text } });
      assert.ok((await forge.readFile(fullName, commit, 'large.yml')) === text);
    });

    it('refuses what is no UTF-8 text, and a symbolic link, naming where it leads', async () => {
      const { github, forge } = await setUp();
      const commit = await github.pushCommit(fullName, {
        branch: 'main',
        files: { 'latin.yml': Buffer.from([0x61, 0xe9]), 'link.yml': 'real/compose.yml' },
        modes: { 'link.yml': '120000' },
      });
      await assert.rejects(forge.readFile(fullName, commit, 'latin.yml'), refused('EditRefused', /latin\.yml .* not UTF-8/));
      await assert.rejects(
        forge.readFile(fullName, commit, 'link.yml'),
        refused('EditRefused', /symbolic link to real\/compose\.yml/),
      );
    });

    it('compares commits of any number, oldest first, and says how far behind the head is', async () => {
      const { github, forge, base } = await setUp();
      const { git } = github.repository(fullName);
      const first = await git.readCommit(base);
      let head = base;
      for (let number = 1; number <= 260; number += 1) {
        const person = { name: 'Ann', email: 'ann@example.org', date: first.author.date };
        head = await git.writeCommit({
          ...first,
          parents: [head],
          message: `commit ${number}`,
          author: person,
          committer: person,
        });
      }
      const main = await github.pushCommit(fullName, { branch: 'main', files: { 'x.txt': 'x' } });
      const { commits, behindBy } = await forge.compare(fullName, main, head);
      assert.deepEqual(
        commits.map(({ message }) => message),
        Array.from({ length: 260 }, (_, index) => `commit ${index + 1}`),
      );
      assert.equal(behindBy, 1);
      assert.deepEqual(commits.at(-1), { sha: head, author: 'Ann', message: 'commit 260' });
      assert.deepEqual(await forge.compare(fullName, main, main), { commits: [], behindBy: 0 });
    });
  });

  describe('a commit', () => {
    it('changes nothing but its file, and makes the branch', async () => {
      const setting = await setUp();
      const sha = await proposed(setting);
      const { git } = setting.github.repository(fullName);
      assert.equal(await setting.forge.head(fullName, branch), sha);
      assert.equal(
        await git
          .git(['diff', '--unified=0', '--no-prefix', setting.base, sha])
          .then((diff) => diff.split('\n').slice(4).join('\n')),
        '@@ -4 +4 @@ services:\n-    image: ghcr.io/team/web:1.0\n+    image: ghcr.io/team/web:1.1\n',
      );
      const { message, parents } = await git.readCommit(sha);
      assert.equal(message, firstCommit(setting).message);
      assert.deepEqual(parents, [setting.base]);
    });

    it('keeps that a file is executable, and every byte of its text', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      const path = 'bin/deploy.sh';
      const base = await github.pushCommit(fullName, { branch: 'main', files: { [path]: 'a\n' }, modes: { [path]: '100755' } });
      const text = '\uFEFFb\r\n🚀';
      const sha = await forge.commitFiles(firstCommit({ ...setting, base }, { path, text }));
      const { git } = github.repository(fullName);
      assert.equal((await git.entry(sha, path))?.mode, '100755');
      assert.equal(await forge.readFile(fullName, sha, path), text);
    });

    it('goes on top of the branch, with the base as second parent, and keeps what a person committed', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      await proposed(setting);
      const person = await github.pushCommit(fullName, { branch, files: { 'notes.txt': 'kept\n' } });
      const base = await github.pushCommit(fullName, { branch: 'main', files: { 'other.txt': 'x\n' } });
      const text = before.replace('1.0', '1.2');
      const next = { expectedHead: person, parents: [person, base], treeOf: person, text };
      const sha = await forge.commitFiles(firstCommit(setting, next));
      assert.equal(await forge.readFile(fullName, sha, 'notes.txt'), 'kept\n');
      assert.equal(await forge.readFile(fullName, sha, file), text);
      assert.deepEqual((await github.repository(fullName).git.readCommit(sha)).parents, [person, base]);
      const { commits, behindBy } = await forge.compare(fullName, base, sha);
      assert.equal(behindBy, 0);
      assert.ok(commits.some(({ sha, author }) => sha === person && author === 'octocat'));
    });

    it('is not made where the branch is elsewhere than expected: moved, rewound, made, or deleted', async () => {
      const setting = await setUp();
      const { github, forge, base } = setting;
      const head = await proposed(setting);
      await assert.rejects(proposed(setting), BranchMoved);
      const moved = await github.pushCommit(fullName, { branch, files: { 'notes.txt': 'x' } });
      const next = firstCommit(setting, { expectedHead: head, parents: [head], treeOf: head, text: 'new\n' });
      await assert.rejects(forge.commitFiles(next), BranchMoved);
      assert.equal(await forge.head(fullName, branch), moved);
      const { git } = github.repository(fullName);
      await git.updateRef(`refs/heads/${branch}`, base, moved);
      await assert.rejects(forge.commitFiles(next), BranchMoved);
      assert.equal(await forge.head(fullName, branch), base);
      await git.deleteRef(`refs/heads/${branch}`);
      await assert.rejects(forge.commitFiles(next), BranchMoved);
      assert.equal(await forge.head(fullName, branch), undefined);
    });

    it('leaves a branch alone that somebody moves or makes between our look and our push', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      for (const state of ['makes', 'moves'] as const) {
        const head = await forge.head(fullName, branch);
        const next = head === undefined ? {} : { expectedHead: head, parents: [head], treeOf: head, text: 'new\n' };
        let pushing: Promise<string> | undefined;
        github.beforeNext('git/create-commit', async () => {
          pushing = github.pushCommit(fullName, { branch, files: { 'notes.txt': state } });
          await pushing;
        });
        await assert.rejects(forge.commitFiles(firstCommit(setting, next)), BranchMoved);
        assert.equal(await forge.head(fullName, branch), await pushing);
      }
    });

    it("is refused on a protected branch, in GitHub's words, and not tried again", async () => {
      const setting = await setUp();
      const { github, forge, base } = setting;
      github.repository(fullName).protections.set('main', { contexts: [], approvals: 1 });
      await assert.rejects(
        forge.commitFiles(firstCommit(setting, { branch: 'main', expectedHead: base })),
        refused('ForgeRefused', /Changes must be made through a pull request/),
      );
      await github.pushCommit(fullName, { branch: 'landfall', files: { 'x.txt': 'x' } });
      await assert.rejects(proposed(setting), refused('ForgeRefused', /Reference update failed/));
    });
  });

  describe('a pull request', () => {
    it('is opened once, and found again by whoever proposes the same', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      const head = await proposed(setting);
      const proposal = await forge.openChange(
        change(head, { labels: ['image'], reviewers: ['ann', 'Team/deployers'], assignees: ['bob'] }),
      );
      assert.deepEqual(proposal, {
        kind: 'pull-request',
        url: `${github.url}/${fullName}/pull/1`,
        number: 1,
        branch,
        base: 'main',
        head,
      });
      const [pull, ...others] = pulls(github);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [pull?.title, pull?.body, pull?.labels, pull?.reviewers, pull?.teams, pull?.assignees],
        ['🚀 Auto-update: web image', 'line one\nline two\n', ['image'], ['ann'], ['deployers'], ['bob']],
      );
      const writes = () => github.requests.filter(({ method }) => method !== 'GET').length;
      const written = writes();
      const again = change(head, { labels: ['Image'], reviewers: ['Ann', 'team/deployers'], assignees: ['bob'] });
      assert.deepEqual(await forge.openChange(again), proposal);
      assert.equal(writes(), written, 'proposing the same again wrote something');
    });

    it('is found after a crash between making the branch and making it, and between making it and labelling it', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      const head = await proposed(setting);
      const wanted = change(head, { labels: ['image'], reviewers: ['ann'] });
      github.failNext({ cut: true, afterwards: true, matching: (method, path) => method === 'POST' && path.endsWith('/pulls') });
      await assert.rejects(forge.openChange(wanted), broken);
      assert.equal(pulls(github).length, 1);
      github.failNext({ status: 502, matching: (method, path) => method === 'POST' && path.endsWith('/labels') });
      await assert.rejects(forge.openChange(wanted), broken);
      await forge.openChange(wanted);
      assert.equal(pulls(github).length, 1);
      assert.deepEqual([pulls(github)[0]?.labels, pulls(github)[0]?.reviewers], [['image'], ['ann']]);
    });

    it('is found under the old name of a repository that was renamed', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      const proposal = await forge.openChange(change(await proposed(setting)));
      // The old name goes on to lead there, and answers say the new one.
      Object.assign(github.repository(fullName), { name: 'renamed', fullName: 'Team/renamed' });
      assert.equal((await forge.openChange(change(proposal.head))).number, proposal.number);
      assert.equal(pulls(github).length, 1);
    });

    it('is one, however many open it at once', async () => {
      const setting = await setUp();
      const head = await proposed(setting);
      const proposals = await Promise.all(Array.from({ length: 5 }, () => setting.forge.openChange(change(head))));
      assert.deepEqual(new Set(proposals.map(({ number }) => number)), new Set([1]));
      assert.equal(count(setting.github, 'pulls/create'), 1);
      assert.ok(count(setting.github, 'pulls/create', 422) > 0, 'nothing raced');
    });

    it('gets a new title and body, and keeps what people said about it', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      const head = await proposed(setting);
      const wanted = change(head, { labels: ['image', 'auto'], reviewers: ['ann'], assignees: ['bob'] });
      await forge.openChange(wanted);
      const [pull] = pulls(github);
      assert.ok(pull);
      // Ann reviews, and is asked no more; somebody takes a label and the assignee away.
      pull.reviewers.length = 0;
      pull.assignees.length = 0;
      pull.labels.splice(0, 1);
      await forge.openChange({ ...wanted, title: 'newer', body: 'newer\nbody', labels: ['image', 'auto', 'late'] });
      assert.deepEqual([pull.title, pull.body], ['newer', 'newer\nbody']);
      assert.deepEqual([pull.labels, pull.reviewers, pull.assignees], [['auto', 'late'], [], []]);
      pull.body = 'newer\r\nbody\r\n';
      await forge.openChange({ ...wanted, title: 'newer', body: 'newer\nbody\n' });
      assert.equal(count(github, 'pulls/update', 200), 1);
    });

    it('is opened anew beside a closed one, and beside one to another base', async () => {
      const setting = await setUp();
      const { github, forge } = setting;
      const head = await proposed(setting);
      await github.pushCommit(fullName, { branch: 'next', files: { 'x.txt': 'x' } });
      await forge.openChange(change(head));
      assert.equal((await forge.openChange(change(head, { base: 'next' }))).number, 2);
      assert.equal((await github.ask('PATCH', `/repos/${fullName}/pulls/1`, { state: 'closed' })).status, 200);
      assert.equal((await forge.openChange(change(head))).number, 3);
    });

    it('is opened although some of its reviewers and assignees are refused, and the log names them', async () => {
      const setting = await setUp();
      const { github, forge, warnings } = setting;
      const head = await proposed(setting);
      await forge.openChange(
        change(head, { reviewers: ['stranger', 'ann', 'landfall-bot', 'Team/none'], assignees: ['bob', 'stranger'] }),
      );
      assert.deepEqual([pulls(github)[0]?.reviewers, pulls(github)[0]?.assignees], [['ann'], ['bob']]);
      assert.deepEqual(
        warnings.map(({ fields }) => fields.reviewer ?? fields.assignees),
        [['stranger'], 'stranger', 'landfall-bot', 'Team/none'],
      );
      assert.match(String(warnings[2]?.fields.reason), /Review cannot be requested from pull request author/);
    });

    it("is refused in GitHub's words where there is nothing to merge", async () => {
      const setting = await setUp();
      const { github, forge, base } = setting;
      await github.repository(fullName).git.updateRef(`refs/heads/${branch}`, base, '0'.repeat(40));
      await assert.rejects(forge.openChange(change(base)), refused('ForgeRefused', /No commits between main and landfall/));
    });
  });

  it('says what the checks said on the commit, and says the same only once', async () => {
    const setting = await setUp();
    const { github, forge } = setting;
    const head = await proposed(setting);
    const scan = { context: 'landfall/scan', state: 'success', description: 'no findings' } as const;
    const smoke = { context: 'landfall/smoke', state: 'pending', description: 'x'.repeat(150) } as const;
    // More than a page of statuses of others comes first.
    const others = Array.from({ length: 120 }, (_, index) => ({ context: `ci/${index}`, state: 'success' as const }));
    for (const { context, state } of others) {
      github.repository(fullName).statuses.push({
        id: 1,
        sha: head,
        context,
        state,
        description: null,
        targetUrl: null,
        creator: 'octocat',
        at: '2024-01-01T00:00:00Z',
      });
    }
    await forge.reportChecks(fullName, head, [scan, smoke]);
    await forge.reportChecks(fullName, head, [smoke, { ...scan, context: 'Landfall/Scan' }]);
    const statuses = () => github.repository(fullName).statuses.slice(others.length);
    assert.deepEqual(
      statuses().map(({ sha, context, state, description }) => [sha, context, state, description?.length]),
      [
        [head, 'landfall/scan', 'success', 11],
        [head, 'landfall/smoke', 'pending', 140],
      ],
    );
    await forge.reportChecks(fullName, head, [scan, { ...smoke, state: 'success' }]);
    assert.deepEqual(
      statuses().map(({ state }) => state),
      ['success', 'pending', 'success'],
    );
  });

  it('says nothing on the commit where the token may not, and goes on', async () => {
    const setting = await setUp();
    const { github } = setting;
    const head = await proposed(setting);
    for (const [token, more] of [
      ['least', {}],
      ['reader', { statuses: 'read' }],
    ] as const) {
      github.addToken(token, { login: token, permissions: { contents: 'write', pull_requests: 'write', ...more } });
      const forge = forgeOf(github, { token });
      await forge.reportChecks(fullName, head, [{ context: 'landfall/scan', state: 'success', description: 'no findings' }]);
    }
    assert.deepEqual(github.repository(fullName).statuses, []);
  });
});
