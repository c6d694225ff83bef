import assert from 'node:assert/strict';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { createDeploymentProof } from '../../src/probes/deployment.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { digestOf } from '../support/plans.ts';

const repository = 'team/deployment';
const environment = 'production';
const digest = digestOf('new');
const never = new AbortController().signal;

describe('the proof by a deployment at GitHub', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;
  let head: string;

  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(repository);
    head = await commit('first');
  });
  afterEach(async () => {
    await github.stop();
  });

  const commit = (content: string) =>
    github.pushCommit(repository, { branch: 'main', files: { 'docker-compose.yml': content }, message: content });

  /** Somebody's deployment, with its statuses, oldest first. */
  async function deployment(of: Record<string, unknown>, ...states: string[]): Promise<void> {
    const path = `/repos/${repository}/deployments`;
    const made = await github.ask('POST', path, { ref: head, environment, auto_merge: false, required_contexts: [], ...of });
    assert.equal(made.status, 201, JSON.stringify(made.body));
    const { id } = made.body as { id: number };
    for (const state of states) {
      const answer = await github.ask('POST', `${path}/${id}/statuses`, {
        state,
        description: `it is ${state}`,
        auto_inactive: false,
      });
      assert.equal(answer.status, 201, JSON.stringify(answer.body));
    }
  }

  type Expected = Partial<Parameters<typeof createDeploymentProof>[2]>;

  function proof(expected: Expected = {}, names = repository) {
    const { clientFor } = createGitHubClients({ token }, { url: github.url });
    return createDeploymentProof(clientFor, { repository: names, environment }, { digest, ...expected });
  }
  const ask = (expected?: Expected) => proof(expected).ask(never);

  it('is none where no deployment is about the image, or in another environment', async () => {
    await deployment({ payload: { digest: digestOf('old') } }, 'success');
    await deployment({ payload: { digest }, environment: 'staging' }, 'success');
    assert.deepEqual(await ask(), { kind: 'none', text: `no deployment of ${repository} to production is about this image yet` });
  });

  it('waits while it is under way, and takes success for a proof', async () => {
    await deployment({ payload: { image: `ghcr.io/team/web@${digest}` } });
    assert.match((await ask()).text, /has no status yet$/);
    await deployment({ payload: JSON.stringify({ digest }) }, 'queued', 'in_progress');
    assert.deepEqual(
      [(await ask()).kind, (await ask()).text.replace(/\(\d+\)/, '')],
      ['none', `deployment of ${repository} to production  is in_progress`],
    );
    await deployment({ description: `web ${digest}` }, 'in_progress', 'success');
    assert.equal((await ask()).kind, 'good');
  });

  it('takes failure for an answer', async () => {
    await deployment({ payload: { digest } }, 'success');
    for (const state of ['failure', 'error']) {
      await deployment({ payload: { digest } }, 'in_progress', state);
      const answer = await ask();
      assert.equal(answer.kind, 'refused');
      assert.match(answer.text, new RegExp(`failed: it is ${state}$`));
    }
  });

  it('knows the deployment by the revision of the image, or the commit of the merge', async () => {
    await deployment({}, 'success');
    assert.deepEqual(
      [(await ask({ revision: head })).kind, (await ask({ commit: head })).kind, (await ask()).kind],
      ['good', 'good', 'none'],
    );
  });

  it('takes a deployment of a later commit, which holds the merge, and none of an earlier one', async () => {
    const earlier = head;
    await deployment({}, 'success');
    const merge = await commit('ours');
    assert.equal((await ask({ commit: merge })).kind, 'none');
    head = await commit("somebody else's");
    await deployment({}, 'success');
    assert.equal((await ask({ commit: merge })).kind, 'good');
    assert.equal((await ask({ commit: earlier })).kind, 'good');
    // Of a later commit, but about another image.
    await deployment({ payload: { digest: digestOf('old') } }, 'failure');
    assert.equal((await ask({ commit: merge })).kind, 'good');
  });

  it('does not take what Landfall itself reports there', async () => {
    await deployment({ payload: { rollout: 'rollout:web', run: 'r' } }, 'success');
    assert.equal((await ask({ revision: head })).kind, 'none');
  });

  it('asks no more once it is proven, and not more than every few seconds before', async () => {
    await deployment({ payload: { digest } }, 'in_progress');
    const waiting = proof();
    await waiting.ask(never);
    const asked = github.requests.length;
    await waiting.ask(never);
    assert.equal(github.requests.length, asked);
    await deployment({ payload: { digest } }, 'success');
    const proven = proof();
    assert.equal((await proven.ask(never)).kind, 'good');
    const askedBy = github.requests.length;
    assert.equal((await proven.ask(never)).kind, 'good');
    assert.equal(github.requests.length, askedBy);
  });

  it('is none while GitHub is in trouble, or wants us to wait', async () => {
    await deployment({ payload: { digest } }, 'success');
    for (const fault of [{ status: 502 }, { cut: true }, { rateLimit: 'primary' as const }]) {
      github.failNext(fault);
      const answer = await ask();
      assert.deepEqual(
        [answer.kind, answer.text.startsWith('GitHub did not say how the deployment of')],
        ['none', true],
        answer.text,
      );
    }
    assert.equal((await ask()).kind, 'good');
  });

  it('refuses where GitHub says no', async () => {
    await assert.rejects(proof({}, 'team/nowhere').ask(never), { type: 'ForgeRefused' });
  });
});
