import assert from 'node:assert/strict';
import type { Notice } from '../../src/domain/notice.ts';
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

  const send = (notice: Partial<Notice>, thread?: MessageIds, repository?: string) =>
    createGitHubNotifier({ clientFor: createGitHubClients({ token }, { url: github.url }).clientFor }).send({
      target: repository === undefined ? {} : { repository },
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
    await send({ event: 'deploying', sourceRepository: 'https://gitlab.com/team/web' });
    await send({ event: 'unchanged' });
    await send({ event: 'aborted' });
    assert.deepEqual(deployments(), []);
    assert.ok(github.requests.every(({ method }) => method === 'GET'));
  });

  it('go to the repository of the push, else to the configured one', async () => {
    await send({ event: 'deploying', sourceRepository: `https://github.com/${source}.git` }, undefined, 'team/other');
    await send({ event: 'healthy', sourceRepository: 'not a repository' }, undefined, source);
    assert.deepEqual(states(), [['in_progress', 'success']]);
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
