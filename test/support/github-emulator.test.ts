import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Octokit } from 'octokit';
import type { NewRepository } from './github/people-at-work.ts';
import { onRepository } from './github/routing.ts';
import { type GitHub, type GitHubOptions, startGitHub, token } from './github/server.ts';
import type { Protection } from './github/state.ts';

const git = promisify(execFile);
const named = { owner: 'team', repo: 'deployment' };
const fullName = 'team/deployment';
const started: GitHub[] = [];

async function start(options: GitHubOptions = {}, repository: NewRepository = {}): Promise<GitHub> {
  const github = await startGitHub(options);
  started.push(github);
  await github.createRepository(fullName, {
    ...repository,
    files: { 'docker-compose.yml': 'services: {}\n', 'scripts/run.sh': 'true\n' },
  });
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

  describe('merges as the repository and its branches allow', () => {
    async function opened(options?: NewRepository) {
      const github = await start({}, options);
      const octokit = client(github);
      const made = await branchWithCommit(octokit, 'topic', 'one\n');
      await octokit.rest.pulls.create({ ...named, head: 'topic', base: 'main', title: 'One' });
      const look = async () => (await octokit.rest.pulls.get({ ...named, pull_number: 1 })).data;
      const merge = (method?: 'merge' | 'squash' | 'rebase') =>
        octokit.rest.pulls.merge({ ...named, pull_number: 1, ...(method === undefined ? {} : { merge_method: method }) });
      const protect = (protection: Partial<Protection>) =>
        github.repository(fullName).protections.set('main', { contexts: [], approvals: 0, ...protection });
      return { github, octokit, look, merge, protect, ...made };
    }

    for (const [method, parents, message] of [
      ['merge', 2, /^Merge pull request #1 from team\/topic/],
      ['squash', 1, /^Merge pull request #1/],
      ['rebase', 1, /^write one/],
    ] as const) {
      it(`by ${method}`, async () => {
        const { github, merge, look, base } = await opened();
        await github.pushCommit(fullName, { branch: 'main', files: { 'other.txt': 'x' } });
        const { data } = await merge(method);
        const { git } = github.repository(fullName);
        const commit = await git.readCommit(data.sha);
        assert.equal(commit.parents.length, parents);
        assert.match(commit.message, message);
        assert.equal(await git.countBetween(base, data.sha), method === 'merge' ? 3 : 2);
        assert.deepEqual(
          (await git.readTree(data.sha, false)).map(({ path }) => path),
          ['docker-compose.yml', 'other.txt', 'scripts'],
        );
        assert.deepEqual(await look().then((pull) => [pull.merged, pull.merge_commit_sha]), [true, data.sha]);
      });
    }

    it('only in ways that its settings and rules name, and deletes the branch where it should', async () => {
      const { github, merge, protect } = await opened({ settings: { squash: false, deletesBranches: true } });
      await assert.rejects(merge('squash'), refused(405, /^Squash merges are not allowed/));
      protect({ ruleset: true, methods: ['rebase'] });
      await assert.rejects(merge('merge'), refused(405, /^Merge commits are not allowed/));
      await merge('rebase');
      assert.equal(await github.repository(fullName).git.branchHead('topic'), undefined);
    });

    it("and says beforehand where it stands, in GitHub's words", async () => {
      const { github, octokit, look, merge, protect, sha } = await opened();
      const state = async () => (await look()).mergeable_state;
      assert.equal(await state(), 'clean');
      github.reportCheckRun(fullName, { sha, name: 'build', status: 'in_progress', conclusion: null });
      assert.equal(await state(), 'unstable');
      protect({ contexts: ['build'], strict: true });
      assert.equal(await state(), 'blocked');
      github.reportCheckRun(fullName, { sha, name: 'build', status: 'completed', conclusion: 'success' });
      assert.equal(await state(), 'clean');
      await github.pushCommit(fullName, { branch: 'main', files: { 'other.txt': 'x' } });
      assert.equal(await state(), 'behind');
      await assert.rejects(merge(), refused(405, /out of date/));
      protect({ restricted: true });
      await assert.rejects(merge(), refused(405, /not authorized to push/));
      github.repository(fullName).protections.clear();
      await github.pushCommit(fullName, { branch: 'main', files: { 'docker-compose.yml': 'other\n' } });
      assert.deepEqual(await look().then((pull) => [pull.mergeable, pull.mergeable_state]), [false, 'dirty']);
      await branchWithCommit(octokit, 'draft', 'two\n');
      const { data: draft } = await octokit.rest.pulls.create({
        ...named,
        head: 'draft',
        base: 'main',
        title: 'Draft',
        draft: true,
      });
      assert.deepEqual([draft.draft, draft.mergeable_state], [true, 'draft']);
    });

    it('with reviews of people, until they are dismissed', async () => {
      const { github, look, protect } = await opened();
      protect({ approvals: 1 });
      const ann = github.person(fullName, 'ann');
      const review = await ann.review(1, 'APPROVE');
      assert.equal((await look()).mergeable_state, 'clean');
      await github.person(fullName, 'bob').review(1, 'REQUEST_CHANGES');
      assert.equal((await look()).mergeable_state, 'blocked');
      await ann.dismiss(1, review);
      await assert.rejects(ann.dismiss(1, review), /422/);
      await assert.rejects(ann.merge(1), /405/);
    });

    it('by its queue alone where it has one, which a push leaves', async () => {
      const { github, octokit, merge, protect, sha } = await opened();
      protect({ queue: true, ruleset: true });
      const rules = await octokit.rest.repos.getBranchRules({ ...named, branch: 'main' });
      assert.ok(rules.data.some(({ type }) => type === 'merge_queue'));
      await assert.rejects(merge(), refused(405, /merge queue/));
      const look = `query { repository(owner: "team", name: "deployment") { pullRequest(number: 1) { id isInMergeQueue } } }`;
      type Looked = { repository: { pullRequest: { id: string; isInMergeQueue: boolean } } };
      const { id } = (await octokit.graphql<Looked>(look)).repository.pullRequest;
      const enqueue = (head: string) =>
        octokit.graphql(
          'mutation ($id: ID!, $head: GitObjectID!) { enqueuePullRequest(input: { pullRequestId: $id, expectedHeadOid: $head }) { mergeQueueEntry { position } } }',
          { id, head },
        );
      await assert.rejects(enqueue('0'.repeat(40)), /Head sha has changed/);
      await enqueue(sha);
      assert.equal((await octokit.graphql<Looked>(look)).repository.pullRequest.isInMergeQueue, true);
      await github.pushCommit(fullName, { branch: 'topic', files: { 'more.txt': 'x' } });
      assert.equal((await octokit.graphql<Looked>(look)).repository.pullRequest.isInMergeQueue, false);
      await assert.rejects(octokit.graphql('query { nothing }'), /Cannot query field "nothing"/);
      await assert.rejects(github.finishQueue(fullName, 1, 'merged'), /not in the merge queue/);
    });

    it('and tells who closed it, and which Actions ran', async () => {
      const { github, octokit, sha } = await opened();
      await github.person(fullName, 'bob').close(1);
      assert.equal((await octokit.rest.issues.get({ ...named, issue_number: 1 })).data.closed_by?.login, 'bob');
      github.reportActionsRun(fullName, { sha, name: 'ci', status: 'completed', conclusion: 'success' });
      const { data } = await octokit.rest.actions.listWorkflowRunsForRepo({ ...named, head_sha: sha });
      assert.deepEqual(
        [data.total_count, data.workflow_runs[0]?.head_sha, data.workflow_runs[0]?.conclusion],
        [1, sha, 'success'],
      );
      const commits = await octokit.rest.repos.listCommits({ ...named, sha, path: 'docker-compose.yml' });
      assert.deepEqual(commits.data.map((commit) => commit.sha)[0], sha);
    });
  });

  it('tells a webhook what happens, signed, in order, with the bodies that GitHub sends', async () => {
    const received: { event: string; signed: boolean; body: Record<string, unknown> }[] = [];
    const secret = 'shared';
    const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const text = Buffer.concat(await request.toArray()).toString('utf8');
      const signature = `sha256=${createHmac('sha256', secret).update(text).digest('hex')}`;
      received.push({
        event: String(request.headers['x-github-event']),
        signed: request.headers['x-hub-signature-256'] === signature,
        body: JSON.parse(text),
      });
      response.writeHead(202).end();
    };
    const listener = createServer((request, response) => void receive(request, response));
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    try {
      const { port } = listener.address() as AddressInfo;
      const github = await start({ webhooks: { url: `http://127.0.0.1:${port}/`, secret } });
      const octokit = client(github);
      const { sha } = await branchWithCommit(octokit, 'topic', 'one\n');
      await octokit.rest.pulls.create({ ...named, head: 'topic', base: 'main', title: 'One' });
      await octokit.rest.repos.createCommitStatus({ ...named, sha, context: 'ci', state: 'success' });
      github.reportCheckRun(fullName, { sha, name: 'build', status: 'in_progress', conclusion: null });
      github.reportCheckRun(fullName, { sha, name: 'build', status: 'completed', conclusion: 'success' });
      const review = await github.person(fullName, 'ann').review(1, 'APPROVE');
      await github.person(fullName, 'ann').dismiss(1, review);
      await github.pushCommit(fullName, { branch: 'topic', files: { 'more.txt': 'x' } });
      await github.person(fullName, 'bob').merge(1);
      const deliveries = await github.deliveries();
      assert.ok(deliveries.every(({ status }) => status === 202));
      assert.ok(received.every(({ signed }) => signed));
      assert.deepEqual(
        received.map(({ event, body }) => [event, body.action, (body.sender as { login: string }).login]),
        [
          ['pull_request', 'opened', 'landfall-bot'],
          ['status', undefined, 'landfall-bot'],
          ['check_suite', 'completed', 'octocat'],
          ['pull_request_review', 'submitted', 'ann'],
          ['pull_request_review', 'dismissed', 'ann'],
          ['pull_request', 'synchronize', 'octocat'],
          ['pull_request', 'closed', 'bob'],
        ],
      );
      const member = (index: number, name: string) => (received.at(index)?.body[name] ?? {}) as Record<string, unknown>;
      assert.ok(received.every(({ body }) => (body.repository as { full_name: string }).full_name === fullName));
      assert.deepEqual(member(0, 'pull_request').head, { ...(member(0, 'pull_request').head as object), ref: 'topic', sha });
      assert.deepEqual([received[1]?.body.sha, received[1]?.body.state], [sha, 'success']);
      assert.deepEqual([member(2, 'check_suite').head_branch, member(2, 'check_suite').conclusion], ['topic', 'success']);
      assert.deepEqual([member(3, 'review').state, member(3, 'review').commit_id], ['approved', sha]);
      assert.equal(member(-1, 'pull_request').merged, true);
      github.deliverTo(undefined);
      await octokit.rest.repos.createCommitStatus({ ...named, sha, context: 'ci', state: 'pending' });
      assert.equal((await github.deliveries()).length, 7);
    } finally {
      listener.close();
    }
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
