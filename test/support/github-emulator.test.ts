import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Octokit } from 'octokit';
import { onRepository } from './github/routing.ts';
import { type GitHub, type GitHubOptions, startGitHub, token } from './github/server.ts';

const git = promisify(execFile);
const named = { owner: 'team', repo: 'deployment' };
const fullName = 'team/deployment';
const started: GitHub[] = [];

async function start(options: GitHubOptions = {}): Promise<GitHub> {
  const github = await startGitHub(options);
  started.push(github);
  await github.createRepository(fullName, { files: { 'docker-compose.yml': 'services: {}\n', 'scripts/run.sh': 'true\n' } });
  return github;
}

function client(github: GitHub, auth: string = token): Octokit {
  const quiet = { debug() {}, info() {}, warn() {}, error() {} };
  return new Octokit({ auth, baseUrl: github.url, throttle: { enabled: false }, retry: { enabled: false }, log: quiet });
}

/** A commit on a branch of its own, by the API. */
async function branchWithCommit(octokit: Octokit, branch: string, text: string) {
  const base = (await octokit.rest.git.getRef({ ...named, ref: 'heads/main' })).data.object.sha;
  const blob = (await octokit.rest.git.createBlob({ ...named, content: text })).data.sha;
  const tree = await octokit.rest.git.createTree({
    ...named,
    base_tree: base,
    tree: [{ path: 'docker-compose.yml', mode: '100644', type: 'blob', sha: blob }],
  });
  const made = await octokit.rest.git.createCommit({ ...named, message: `write ${text}`, tree: tree.data.sha, parents: [base] });
  await octokit.rest.git.createRef({ ...named, ref: `refs/heads/${branch}`, sha: made.data.sha });
  return { base, sha: made.data.sha };
}

const refused = (status: number, message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Error && 'status' in error, String(error));
  assert.equal(error.status, status);
  assert.match(error.message, message);
  return true;
};

describe('the GitHub emulator', function () {
  // The description is read once (13 MB), and each operation's schema is compiled at its first use.
  this.timeout(60_000);

  afterEach(async () => {
    for (const github of started.splice(0)) await github.stop();
  });

  it('keeps what is written through the API in a repository that can be cloned', async () => {
    const github = await start();
    const { sha } = await branchWithCommit(client(github), 'landfall/web', 'services: { web: {} }\n');
    const folder = await mkdtemp(join(tmpdir(), 'landfall-clone-'));
    try {
      await git('git', ['clone', '--quiet', '--branch', 'landfall/web', github.folder(fullName), folder]);
      const { stdout } = await git('git', ['-C', folder, 'rev-parse', 'HEAD']);
      assert.equal(stdout.trim(), sha);
      assert.equal(await readFile(join(folder, 'docker-compose.yml'), 'utf8'), 'services: { web: {} }\n');
      assert.equal(await readFile(join(folder, 'scripts/run.sh'), 'utf8'), 'true\n');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('takes a branch only to a descendant, and creates it only once', async () => {
    const github = await start();
    const octokit = client(github);
    const { base, sha } = await branchWithCommit(octokit, 'topic', 'one\n');
    await assert.rejects(
      octokit.rest.git.createRef({ ...named, ref: 'refs/heads/topic', sha }),
      refused(422, /^Reference already exists/),
    );
    const elsewhere = await github.pushCommit(fullName, { branch: 'main', files: { 'other.txt': 'x' } });
    await assert.rejects(
      octokit.rest.git.updateRef({ ...named, ref: 'heads/topic', sha: elsewhere }),
      refused(422, /^Update is not a fast forward/),
    );
    await assert.rejects(
      octokit.rest.git.updateRef({ ...named, ref: 'heads/gone', sha }),
      refused(422, /^Reference does not exist/),
    );
    await assert.rejects(
      octokit.rest.git.createRef({ ...named, ref: 'refs/heads/topic/below', sha: base }),
      refused(422, /^Reference update failed/),
    );
  });

  it('opens one pull request a branch, follows what is pushed to it, and merges it at the named head only', async () => {
    const github = await start();
    const octokit = client(github);
    const { sha } = await branchWithCommit(octokit, 'topic', 'one\n');
    const create = () => octokit.rest.pulls.create({ ...named, head: 'topic', base: 'main', title: 'One', body: 'text' });
    const { data: pull } = await create();
    assert.deepEqual([pull.number, pull.state, pull.head.sha, pull.commits, pull.mergeable], [1, 'open', sha, 1, true]);
    await assert.rejects(create(), refused(422, /A pull request already exists for team:topic\./));

    const pushed = await github.pushCommit(fullName, { branch: 'topic', files: { 'docker-compose.yml': 'two\n' } });
    const merge = (head: string) => octokit.rest.pulls.merge({ ...named, pull_number: 1, sha: head });
    await assert.rejects(merge(sha), refused(409, /^Head branch was modified/));
    const merged = await merge(pushed);
    assert.equal((await octokit.rest.git.getRef({ ...named, ref: 'heads/main' })).data.object.sha, merged.data.sha);
    assert.equal((await octokit.rest.pulls.get({ ...named, pull_number: 1 })).data.merged, true);
    await assert.rejects(merge(pushed), refused(405, /^Pull Request is not mergeable/));
  });

  it('says that a pull request is merged or closed when somebody pushed the base or deleted the branch', async () => {
    const github = await start();
    const octokit = client(github);
    await branchWithCommit(octokit, 'merged', 'one\n');
    const { sha } = await branchWithCommit(octokit, 'deleted', 'two\n');
    for (const head of ['merged', 'deleted']) await octokit.rest.pulls.create({ ...named, head, base: 'main', title: head });
    const folder = github.folder(fullName);
    await git('git', ['--git-dir', folder, 'update-ref', 'refs/heads/main', 'refs/heads/merged']);
    await git('git', ['--git-dir', folder, 'update-ref', '-d', 'refs/heads/deleted']);
    const { data } = await octokit.rest.pulls.list({ ...named, state: 'closed' });
    assert.deepEqual(
      data.map((pull) => [pull.title, pull.merged_at !== null]),
      [
        ['deleted', false],
        ['merged', true],
      ],
    );
    assert.equal(data[0]?.head.sha, sha);
  });

  it('lets a protected branch be changed by a pull request only, with its checks and approvals', async () => {
    const github = await start();
    const octokit = client(github);
    const { sha } = await branchWithCommit(octokit, 'topic', 'one\n');
    await octokit.rest.repos.updateBranchProtection({
      ...named,
      branch: 'main',
      required_status_checks: { strict: false, contexts: ['landfall/scan', 'build'] },
      required_pull_request_reviews: { required_approving_review_count: 1 },
      enforce_admins: true,
      restrictions: null,
    });
    for (const force of [false, true]) {
      await assert.rejects(
        octokit.rest.git.updateRef({ ...named, ref: 'heads/main', sha, force }),
        refused(422, /pull request|force-push/),
      );
    }
    await octokit.rest.pulls.create({ ...named, head: 'topic', base: 'main', title: 'One' });
    const merge = () => octokit.rest.pulls.merge({ ...named, pull_number: 1, sha });
    await assert.rejects(merge(), refused(405, /Required status check "landfall\/scan" is expected/));
    await octokit.rest.repos.createCommitStatus({ ...named, sha, context: 'landfall/scan', state: 'success' });
    await assert.rejects(merge(), refused(405, /Required status check "build" is expected/));
    github.reportCheckRun(fullName, { sha, name: 'build', status: 'completed', conclusion: 'success' });
    await assert.rejects(merge(), refused(405, /approving review is required/));
    await assert.rejects(
      octokit.rest.pulls.createReview({ ...named, pull_number: 1, event: 'APPROVE' }),
      refused(422, /Can not approve your own pull request/),
    );
    assert.equal((await github.ask('POST', `/repos/${fullName}/pulls/1/reviews`, { event: 'APPROVE' })).status, 200);
    assert.equal((await merge()).data.merged, true);
  });

  it("answers every operation that it knows within GitHub's description", async () => {
    const github = await start();
    const octokit = client(github);
    const { sha, base } = await branchWithCommit(octokit, 'topic', 'one\n');
    await octokit.rest.pulls.create({ ...named, head: 'topic', base: 'main', title: 'One' });
    await octokit.rest.repos.createCommitStatus({ ...named, sha, context: 'a', state: 'pending' });
    github.reportCheckRun(fullName, { sha, name: 'build', status: 'in_progress', conclusion: null });
    await octokit.rest.issues.addLabels({ ...named, issue_number: 1, labels: ['image'] });
    await octokit.rest.issues.addAssignees({ ...named, issue_number: 1, assignees: ['octocat', 'nobody'] });
    await octokit.rest.pulls.requestReviewers({ ...named, pull_number: 1, reviewers: ['octocat'] });
    const answers = await Promise.all([
      octokit.rest.repos.get(named),
      octokit.rest.repos.getBranch({ ...named, branch: 'main' }),
      octokit.rest.repos.getContent({ ...named, path: 'scripts/run.sh' }),
      octokit.rest.repos.getCommit({ ...named, ref: 'topic' }),
      octokit.rest.repos.compareCommitsWithBasehead({ ...named, basehead: `${base}...${sha}` }),
      octokit.rest.repos.getCombinedStatusForRef({ ...named, ref: 'topic' }),
      octokit.rest.repos.listCommitStatusesForRef({ ...named, ref: sha }),
      octokit.rest.checks.listForRef({ ...named, ref: sha }),
      octokit.rest.checks.listSuitesForRef({ ...named, ref: sha }),
      octokit.rest.git.listMatchingRefs({ ...named, ref: 'heads/' }),
      octokit.rest.git.getTree({ ...named, tree_sha: base, recursive: 'true' }),
      octokit.rest.git.getCommit({ ...named, commit_sha: sha }),
      octokit.rest.issues.listEvents({ ...named, issue_number: 1 }),
      octokit.rest.issues.listLabelsOnIssue({ ...named, issue_number: 1 }),
      octokit.rest.pulls.listRequestedReviewers({ ...named, pull_number: 1 }),
      octokit.rest.pulls.list({ ...named, head: 'team:topic' }),
      octokit.rest.pulls.update({ ...named, pull_number: 1, title: 'Two', state: 'closed' }),
      octokit.rest.repos.createDispatchEvent({ ...named, event_type: 'image_published', client_payload: { tag: 'latest' } }),
      octokit.rest.repos.createOrUpdateFileContents({ ...named, path: 'new.txt', message: 'new', content: 'bmV3' }),
    ]);
    assert.ok(answers.every(({ status }) => status < 300));
    await octokit.rest.pulls.createReview({ ...named, pull_number: 1, body: 'fine', event: 'COMMENT' });
    assert.equal((await octokit.rest.pulls.listReviews({ ...named, pull_number: 1 })).data.length, 1);
    await octokit.rest.git.deleteRef({ ...named, ref: 'heads/topic' });
    await assert.rejects(octokit.rest.pulls.checkIfMerged({ ...named, pull_number: 1 }), refused(404, /Not Found/));
    assert.deepEqual(github.repository(fullName).dispatches, [{ eventType: 'image_published', payload: { tag: 'latest' } }]);
    assert.deepEqual(github.violations, []);
  });

  it('answers 401 to an unknown token, 403 where a permission is missing, and 404 for what a token cannot see', async () => {
    const github = await start();
    await github.createRepository('team/secret', { private: true });
    github.addToken('reader', { login: 'reader', permissions: { contents: 'read' }, repositories: [fullName] });
    await assert.rejects(client(github, 'wrong').rest.repos.get(named), refused(401, /^Bad credentials/));
    const reader = client(github, 'reader');
    assert.equal((await reader.rest.git.getRef({ ...named, ref: 'heads/main' })).status, 200);
    await assert.rejects(reader.rest.git.createBlob({ ...named, content: 'x' }), (error: unknown) => {
      assert.ok(refused(403, /^Resource not accessible by personal access token/)(error));
      const { response } = error as { response: { headers: Record<string, string> } };
      assert.equal(response.headers['x-accepted-github-permissions'], 'contents=write');
      return true;
    });
    await assert.rejects(reader.rest.repos.get({ owner: 'team', repo: 'secret' }), refused(404, /^Not Found/));
    assert.equal((await client(github).rest.repos.get({ owner: 'team', repo: 'secret' })).status, 200);
  });

  it('takes a client that goes away in the middle of a request for no violation', async () => {
    const github = await start();
    const socket = connect(Number(new URL(github.url).port), '127.0.0.1');
    await once(socket, 'connect');
    socket.write('POST /repos/team/deployment/git/blobs HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{"content":');
    // It has been read once a whole request that came after it is answered.
    assert.equal((await github.ask('GET', `/repos/${fullName}`)).status, 200);
    socket.resetAndDestroy();
    assert.equal((await github.ask('GET', `/repos/${fullName}`)).status, 200);
    await github.stop();
    assert.deepEqual(github.violations, []);
    assert.equal(github.requests.filter(({ method }) => method === 'POST').length, 0);
    started.length = 0;
  });

  it('reaches its rate limit after the given number of requests', async () => {
    const github = await start({ requestsPerHour: 2 });
    const octokit = client(github);
    const remaining = async () => (await octokit.rest.repos.get(named)).headers['x-ratelimit-remaining'];
    assert.deepEqual([await remaining(), await remaining()], ['1', '0']);
    await assert.rejects(octokit.rest.repos.get(named), refused(403, /^API rate limit exceeded/));
  });

  describe("fails the test that goes outside of GitHub's description", () => {
    async function violated(options: GitHubOptions, act: (octokit: Octokit) => Promise<unknown>, expected: RegExp) {
      const github = await startGitHub(options);
      let failure: unknown;
      try {
        await github.createRepository(fullName);
        await assert.rejects(act(client(github)), refused(500, expected));
      } finally {
        failure = await github.stop().catch((error: unknown) => error);
      }
      assert.ok(failure instanceof Error, 'stop() did not throw');
      assert.match(failure.message, expected);
    }

    it('with an answer that lacks a required member', () =>
      violated(
        { routes: { 'git/get-ref': onRepository([], async () => ({ status: 200, body: { ref: 'refs/heads/main' } })) } },
        (octokit) => octokit.rest.git.getRef({ ...named, ref: 'heads/main' }),
        /answer must have required property 'object'/,
      ));

    it('with an answer whose status is not described', () =>
      violated(
        { routes: { 'repos/get': onRepository([], async () => ({ status: 202, body: {} })) } },
        (octokit) => octokit.rest.repos.get(named),
        /status: 202 is not described for repos\/get/,
      ));

    it('with a request that lacks a required member', () =>
      violated(
        {},
        (octokit) => octokit.request('POST /repos/team/deployment/git/refs', { ref: 'refs/heads/x' }),
        /body must have required property 'sha'/,
      ));

    it('with a request that has a member GitHub does not know', () =>
      violated(
        {},
        (octokit) => octokit.request('POST /repos/team/deployment/pulls', { head: 'a', base: 'main', title: 'x', labels: ['y'] }),
        /GitHub knows no member 'labels'/,
      ));

    it('with a query parameter GitHub does not know', () =>
      violated(
        {},
        (octokit) => octokit.request('GET /repos/team/deployment/pulls?branch=main'),
        /query must NOT have additional properties/,
      ));

    it('with a dispatch of more than ten members', () =>
      violated(
        {},
        (octokit) => {
          const client_payload = Object.fromEntries(Array.from({ length: 11 }, (_, index) => [`member${index}`, '']));
          return octokit.rest.repos.createDispatchEvent({ ...named, event_type: 'x', client_payload });
        },
        /client_payload must NOT have more than 10 properties/,
      ));

    it('with an operation that does not exist', () =>
      violated({}, (octokit) => octokit.request('GET /repos/team/deployment/no-such-thing'), /GitHub has no such operation/));
  });
});
