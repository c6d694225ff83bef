import assert from 'node:assert/strict';
import type { Target, Work } from '../../src/deploys/deploy.ts';
import { createDeploymentDeployer, type DeploymentDeployPlan } from '../../src/deploys/github-deployment/deployer.ts';
import type { Deployed } from '../../src/domain/outcomes.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { type Deployment, deploymentsState } from '../support/github/deployments-state.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { refused, rollout } from '../support/notices.ts';
import { digestOf, imageOf, planOf, stageOf, verifiedOf } from '../support/plans.ts';
import { eventually } from '../support/wait.ts';

const repository = 'team/deployment';

describe('a deploy by a Deployment at GitHub', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;
  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(repository);
  });
  afterEach(() => github.stop());

  const stage = stageOf('production');
  const plan = planOf({ stages: [stage] });
  const target = (word = 'A', overrides: Partial<DeploymentDeployPlan> = {}): Target<DeploymentDeployPlan> => ({
    plan,
    stage,
    image: verifiedOf(imageOf(plan, word, '1.1')),
    rollout: `${rollout}:${word}`,
    deploy: { repository, ref: 'main', environment: 'live', timeoutMs: 60_000, ...overrides },
  });
  const work = (overrides: Partial<Work> = {}): Work => ({
    turn: 1,
    since: Date.now(),
    signal: new AbortController().signal,
    ...overrides,
  });
  const deployer = () =>
    createDeploymentDeployer({
      clientFor: createGitHubClients({ token }, { url: github.url }).clientFor,
      polling: { firstMs: 20, longestMs: 40 },
    });
  const deployments = () => deploymentsState(github.repository(repository)).deployments;
  const aDeployment = (at = 0): Promise<Deployment> => eventually('a deployment', async () => deployments()[at]);
  /** Whoever listens to it says how it goes. */
  async function report(deployment: Deployment, state: string, more: object = {}): Promise<void> {
    const path = `/repos/${repository}/deployments/${deployment.id}/statuses`;
    const { status } = await github.ask('POST', path, { state, ...more });
    assert.equal(status, 201);
  }
  async function reported(attempt: Promise<Deployed>, state: string, at = 0, more: object = {}): Promise<Deployed> {
    attempt.catch(() => undefined);
    await report(await aDeployment(at), state, more);
    return attempt;
  }
  const reference = (word: string) => `registry.example.test/team/web:1.1@${digestOf(word)}`;

  it('makes one with what has to be known, and waits until it succeeds', async () => {
    const attempt = deployer().deploy(target(), work());
    const deployment = await aDeployment();
    await report(deployment, 'in_progress');
    const done = await reported(attempt, 'success');
    assert.deepEqual(deployment.payload, {
      rollout: `${rollout}:A`,
      service: 'web',
      stage: 'production',
      image: reference('A'),
      digest: digestOf('A'),
    });
    assert.deepEqual([deployment.environment, deployment.ref], ['live', 'main']);
    assert.deepEqual(done.running, [{ name: 'live', reference: reference('A'), digest: digestOf('A') }]);
    assert.equal(done.changed, true);
  });

  it('has failed where the status says so, and names where to look', async () => {
    const more = { description: 'exit code 1', log_url: 'https://ci.example.test/7' };
    await assert.rejects(
      reported(deployer().deploy(target(), work()), 'failure', 0, more),
      refused(/found failure exit code 1: look at https:\/\/ci.example.test\/7/, 'DeployFailed'),
    );
    await assert.rejects(reported(deployer().deploy(target('B'), work()), 'error', 1), refused(/found error/, 'DeployFailed'));
    await assert.rejects(
      reported(deployer().deploy(target('C'), work()), 'inactive', 2),
      refused(/found inactive/, 'DeployFailed'),
    );
  });

  it('makes no second one: a retry finds it by its payload', async () => {
    const since = Date.now();
    github.failNext({
      cut: true,
      afterwards: true,
      matching: (method, path) => method === 'POST' && path.endsWith('/deployments'),
    });
    await assert.rejects(deployer().deploy(target(), work({ since })));
    const killed = new AbortController();
    const second = deployer().deploy(target(), work({ since, signal: killed.signal }));
    await eventually('a look', async () =>
      github.requests.some(({ operation }) => operation === 'repos/list-deployment-statuses'),
    );
    killed.abort(new Error('killed'));
    await assert.rejects(second);
    const done = await reported(deployer().deploy(target(), work({ since })), 'success');
    assert.equal(done.changed, true);
    assert.equal(deployments().length, 1);
  });

  it('is done where the digest runs already', async () => {
    await reported(deployer().deploy(target(), work()), 'success');
    const again = await deployer().deploy({ ...target(), rollout: 'another' }, work());
    assert.deepEqual(
      [again.changed, again.running],
      [false, [{ name: 'live', reference: reference('A'), digest: digestOf('A') }]],
    );
    assert.equal(deployments().length, 1);
  });

  it('knows what runs from the newest successful one of the service', async () => {
    assert.deepEqual(await deployer().running(target()), []);
    await reported(deployer().deploy(target('A'), work()), 'success');
    await assert.rejects(reported(deployer().deploy(target('B'), work()), 'failure', 1));
    assert.deepEqual(await deployer().running(target()), [{ name: 'live', reference: reference('A'), digest: digestOf('A') }]);
    assert.deepEqual(await deployer().running({ ...target(), plan: planOf({ service: 'other' }) }), []);
    // Somebody deploys by hand, and nobody knows what.
    await github.ask('POST', `/repos/${repository}/deployments`, {
      ref: 'main',
      environment: 'live',
      auto_merge: false,
      required_contexts: [],
    });
    await report(await aDeployment(2), 'success');
    assert.deepEqual(await deployer().running(target()), []);
  });

  it('brings the image of before back by another deployment', async () => {
    const before = [{ name: 'live', reference: reference('B'), digest: digestOf('B') }];
    await reported(deployer().deploy(target('A'), work()), 'success');
    const done = await reported(deployer().restore(target('A'), before, work()), 'success', 1);
    assert.equal(done.running[0]?.digest, digestOf('B'));
    await assert.rejects(deployer().restore(target('A'), [], work()), refused(/nobody knows/, 'NothingBefore'));
  });

  it('brings it back also where the last one failed or was never reported: it may have changed something', async () => {
    const before = [{ name: 'live', reference: reference('A'), digest: digestOf('A') }];
    await reported(deployer().deploy(target('A'), work()), 'success');
    await assert.rejects(reported(deployer().deploy(target('B'), work()), 'failure', 1));
    const restored = await reported(deployer().restore(target('B'), before, work()), 'success', 2);
    assert.deepEqual([restored.changed, restored.running[0]?.digest], [true, digestOf('A')]);
    await assert.rejects(deployer().deploy(target('C', { timeoutMs: 1 }), work()), refused(/nothing final/, 'DeployFailed'));
    const again = await reported(deployer().deploy({ ...target('A'), rollout: 'another' }, work()), 'success', 4);
    assert.deepEqual([again.changed, deployments().length], [true, 5]);
  });

  it('is refused, with nothing changed, where there is no such ref', async () => {
    const attempt = deployer().deploy(target('A', { ref: 'nope' }), work());
    await assert.rejects(attempt, refused(/no deployment of nope to live was made: .*No ref found/, 'DeployRefused'));
    assert.equal(deployments().length, 0);
  });

  it('gives up after its time, and ends at once when it is cancelled', async () => {
    const late = deployer().deploy(target('A', { timeoutMs: 1 }), work());
    await assert.rejects(late, refused(/found nothing final within 0.001 s/, 'DeployFailed'));
    const cancelled = new AbortController();
    const attempt = deployer().deploy(target('B'), work({ signal: cancelled.signal }));
    await aDeployment(1);
    cancelled.abort(new Error('cancelled'));
    await assert.rejects(attempt);
  });
});
