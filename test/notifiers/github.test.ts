import assert from 'node:assert/strict';
import type { Notice } from '../../src/domain/notice.ts';
import { githubNotifier } from '../../src/notifiers/github/index.ts';
import { createGitHubNotifier } from '../../src/notifiers/github/notifier.ts';
import type { MessageIds } from '../../src/notifiers/notifier.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { payloadOf } from '../../src/platform/github/repository.ts';
import { deploymentsState } from '../support/github/deployments-state.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { hostile, limited, noticeOf, refused, rollout } from '../support/notices.ts';

const source = 'team/web';

describe('GitHub Deployments', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;
  let commit: string;
  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(source, { files: { 'README.md': 'web\n' } });
    commit = await github.pushCommit(source, { branch: 'main', message: 'more', files: { 'README.md': 'more\n' } });
  });
  afterEach(() => github.stop());

  type Target = Parameters<ReturnType<typeof createGitHubNotifier>['send']>[0]['target'];
  const send = (notice: Partial<Notice>, thread?: MessageIds, target: Target = { repository: source }) =>
    createGitHubNotifier({ clientFor: createGitHubClients({ token }, { url: github.url }).clientFor }).send({
      target,
      notice: noticeOf({ commit, sourceRepository: source, stage: 'production', ...notice }),
      ...(thread !== undefined && { thread }),
      signal: new AbortController().signal,
    });
  const deployments = () => deploymentsState(github.repository(source)).deployments;
  const states = () => deployments().map(({ statuses }) => statuses.map(({ state }) => state));

  it('make one for the commit and the stage, and say how it goes', async () => {
    const proposal = 'https://github.com/team/deployment/pull/7';
    let thread = await send({ event: 'deploying', proposal });
    thread = await send({ event: 'healthy', number: 2 }, thread);
    await send({ event: 'delivered', number: 3 }, thread);
    const [deployment, ...more] = deployments();
    assert.deepEqual(more, []);
    assert.deepEqual([deployment?.sha, deployment?.environment, deployment?.production], [commit, 'production', true]);
    assert.deepEqual(deployment?.payload, { rollout, run: noticeOf().runId });
    assert.deepEqual(states(), [['in_progress', 'success', 'success']]);
    assert.equal(deployment?.statuses[0]?.logUrl, proposal);
    assert.equal(deployment?.statuses[0]?.description, 'web: a new image is being deployed in production');
  });

  it('go by failure to inactive where the image is rolled back', async () => {
    const thread = await send({ event: 'deploying' });
    await send({ event: 'unhealthy', number: 2, reason: hostile }, thread);
    await send({ event: 'rolled-back', number: 3 }, thread);
    assert.deepEqual(states(), [['in_progress', 'failure', 'inactive']]);
    assert.ok(deployments()[0]?.statuses.every(({ description }) => description.length <= 140));
  });

  it('are found again when the answer was lost, and a status is not said twice', async () => {
    for (const path of [/\/deployments$/, /\/statuses$/]) {
      github.failNext({ cut: true, afterwards: true, matching: (method, asked) => method === 'POST' && path.test(asked) });
      await assert.rejects(send({ event: 'deploying' }));
    }
    await send({ event: 'deploying' });
    assert.deepEqual(states(), [['in_progress']]);
  });

  it('have one for each stage', async () => {
    const thread = await send({ event: 'deploying', stage: 'staging' });
    await send({ event: 'deploying', stage: 'production', number: 2 }, thread);
    assert.deepEqual(
      deployments().map(({ environment, production }) => [environment, production]),
      [
        ['staging', false],
        ['production', true],
      ],
    );
  });

  it('have another one when the rollout runs again', async () => {
    await send({ event: 'deploying' });
    await send({ event: 'deploying', runId: 'another-run' });
    assert.equal(deployments().length, 2);
  });

  it('say nothing where there is no stage, no commit, no repository, or nothing to say', async () => {
    await send({ event: 'delivered', stage: undefined as never });
    await send({ event: 'deploying', commit: undefined as never });
    await send({ event: 'deploying', commit: 'main' });
    await send({ event: 'deploying', sourceRepository: 'https://gitlab.com/team/web' }, undefined, {});
    await send({ event: 'deploying', sourceRepository: 'not one' }, undefined, { repository: [source, 'team/other'] });
    await send({ event: 'unchanged' });
    await send({ event: 'aborted' });
    assert.deepEqual(deployments(), []);
    assert.ok(github.requests.every(({ method }) => method === 'GET'));
  });

  it('go to the configured repository, to the one of a list that the push names, and to the one that a token proves', async () => {
    await send({ event: 'deploying', sourceRepository: 'not a repository' });
    const list = { repository: ['team/other', source] };
    await send({ event: 'healthy', sourceRepository: `https://github.com/Team/Web.git` }, undefined, list);
    assert.deepEqual(states(), [['in_progress', 'success']]);
    const proven = { by: 'token', fields: ['sourceRepository'] } as const;
    await send({ event: 'delivered', proven }, undefined, {});
    await send({ event: 'rolled-back', proven }, undefined, { repository: 'team/other' });
    assert.deepEqual(states(), [['in_progress', 'success', 'success', 'inactive']]);
  });

  it('never go to a repository that a push only names, whoever signed that', async () => {
    await github.createRepository('other-org/other-repo', { files: { 'README.md': 'x\n' } });
    for (const [target, notice] of [
      [{ repository: source }, { sourceRepository: 'other-org/other-repo' }],
      [{ repository: ['team/a', source] }, { sourceRepository: 'https://github.com/other-org/other-repo' }],
      [{}, {}],
      [{}, { proven: { by: 'forge', fields: ['sourceRepository', 'actor'] } }],
      [{}, { proven: { by: 'token', fields: ['actor'] } }],
    ] as const) {
      await assert.rejects(
        send({ event: 'deploying', ...notice }, undefined, target),
        refused(/which the push names and nothing proves/),
      );
    }
    assert.deepEqual([deployments(), github.requests], [[], []]);
  });

  it('are of commits on a branch of the repository: not of a fork’s, which GitHub finds as well', async () => {
    const { git } = github.repository(source);
    const { tree } = await git.readCommit(commit);
    const person = { name: 'Mallory', email: 'm@example.test', date: new Date().toISOString() };
    const by = { tree, author: person, committer: person };
    const ofFork = await git.writeCommit({ ...by, parents: [commit], message: 'from a fork' });
    const unrelated = await git.writeCommit({ ...by, parents: [], message: 'of its own' });
    for (const sha of [ofFork, unrelated]) {
      await assert.rejects(send({ event: 'deploying', commit: sha }), refused(/is on no branch of team\/web/));
    }
    assert.deepEqual(deployments(), []);
    // One that is not the newest of its branch, one at the end of another, and one that is short.
    const [, first = ''] = (await git.git(['rev-list', commit])).split('\n');
    const other = await github.pushCommit(source, {
      branch: 'release',

      message: 'fix',
      files: { 'README.md': 'r\n' },
    });
    for (const sha of [first, other, commit.slice(0, 10)]) await send({ event: 'deploying', commit: sha });
    assert.equal(deployments().length, 3);
  });

  it('are made where required checks have not passed only if that is said', async () => {
    const at = { sha: commit, context: 'ci', state: 'failure', description: null, targetUrl: null, at: new Date().toISOString() };
    github.repository(source).statuses.push({ ...at, id: 1, creator: 'ci' } as never);
    await assert.rejects(
      send({ event: 'deploying' }),
      refused(/its required checks have not passed: .*skipRequiredContexts: true/),
    );
    assert.deepEqual(deployments(), []);
    await send({ event: 'deploying' }, undefined, { repository: source, skipRequiredContexts: true });
    assert.equal(deployments().length, 1);
  });

  it('are configured by true, a repository, or a list, and a note says what true alone reports', () => {
    const input = (settings: unknown) => githubNotifier.schema(() => undefined).safeParse(settings);
    for (const settings of [true, { repository: source }, { repository: [source, 'team/b'], skipRequiredContexts: true }]) {
      assert.equal(input(settings).success, true, JSON.stringify(settings));
    }
    for (const settings of [false, { repository: [] }, { repository: 'web' }, { repository: [source, 7] }]) {
      assert.equal(input(settings).success, false, JSON.stringify(settings));
    }
    const note = (settings: unknown) => githubNotifier.note?.(githubNotifier.resolve(input(settings).data).settings);
    assert.match(note(true) ?? '', /only in repositories that the OIDC token of a job proves .*: name the repository, or a list/);
    assert.equal(note({ repository: source }), undefined);
  });

  it('wait where GitHub limits us, and refuse a commit that it does not know', async () => {
    github.failNext({ rateLimit: 'secondary', seconds: 30 });
    await assert.rejects(send({ event: 'deploying' }), limited(28, 31));
    await assert.rejects(send({ event: 'deploying', commit: 'deadbee' }), refused(/No ref found for: deadbee/, 'ForgeRefused'));
  });

  it('read a payload whether GitHub gives it as an object or as text', () => {
    assert.deepEqual(payloadOf({ payload: { rollout } }), { rollout });
    assert.deepEqual(payloadOf({ payload: JSON.stringify({ rollout }) }), { rollout });
    for (const payload of ['', 'x', '[]', null, undefined]) assert.deepEqual(payloadOf({ payload }), {});
  });
});
