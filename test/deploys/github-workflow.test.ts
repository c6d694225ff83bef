import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import type { Target, Work } from '../../src/deploys/deploy.ts';
import { createWorkflowDeployer, type WorkflowDeployPlan } from '../../src/deploys/github-workflow/deployer.ts';
import type { Deployed, RunningImage } from '../../src/domain/outcomes.ts';
import { createGitHubClients } from '../../src/platform/github/client.ts';
import { addWorkflow, concludeRun, deploymentsState, type WorkflowRun } from '../support/github/deployments-state.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { limited, refused, rollout } from '../support/notices.ts';
import { digestOf, imageOf, planOf, stageOf, verifiedOf } from '../support/plans.ts';
import { eventually } from '../support/wait.ts';

const repository = 'team/deployment';
const inputs = { image: '{image}:{tag}@{digest}', rollout: '{rollout}', text: '{service} {stage} {commit} {unknown}' };

describe('a deploy by a workflow of GitHub Actions', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;
  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(repository);
    addWorkflow(github.repository(repository), {
      file: 'deploy.yml',
      inputs: Object.keys(inputs),
      runName: 'Deploy ({rollout})',
    });
  });
  afterEach(() => github.stop());

  const stage = stageOf('production');
  const plan = planOf({ stages: [stage] });
  const target = (overrides: Partial<WorkflowDeployPlan> = {}): Target<WorkflowDeployPlan> => ({
    plan,
    stage,
    image: { ...verifiedOf(imageOf(plan, 'A', '1.1')), revision: 'c0ffee' },
    rollout,
    deploy: { repository, workflow: 'deploy.yml', ref: 'main', inputs, timeoutMs: 60_000, ...overrides },
  });
  const work = (overrides: Partial<Work> = {}): Work => ({
    turn: 1,
    since: Date.now(),
    signal: new AbortController().signal,
    ...overrides,
  });
  /** A process of its own: it remembers nothing. */
  const deployer = () =>
    createWorkflowDeployer({
      clientFor: createGitHubClients({ token }, { url: github.url }).clientFor,
      polling: { firstMs: 20, longestMs: 40 },
    });
  const runs = () => deploymentsState(github.repository(repository)).runs;
  const aRun = (at = 0): Promise<WorkflowRun> => eventually('a run', async () => runs()[at]);
  const looks = () => github.requests.filter(({ operation }) => operation === 'actions/get-workflow-run').length;

  async function concluded(attempt: Promise<Deployed>, conclusion: string, at = 0): Promise<Deployed> {
    attempt.catch(() => undefined);
    concludeRun(await aRun(at), conclusion);
    return attempt;
  }

  it('starts it with what it needs to know, and waits for its end', async () => {
    const attempt = deployer().deploy(target(), work());
    const run = await aRun();
    await eventually('a second look', async () => looks() > 1);
    const done = await concluded(attempt, 'success');
    const reference = `registry.example.test/team/web:1.1@${digestOf('A')}`;
    assert.deepEqual(run.inputs, { image: reference, rollout, text: 'web production c0ffee {unknown}' });
    assert.equal(done.changed, true);
    assert.deepEqual(done.running, [{ name: `${repository} deploy.yml`, reference, digest: digestOf('A') }]);
    assert.match(done.text, /actions\/runs\/\d+$/);
  });

  it('has failed where the run did not succeed, and says where to look', async () => {
    for (const [at, conclusion] of ['failure', 'cancelled', 'timed_out', 'skipped'].entries()) {
      // Each is a step of its own.
      const attempt = deployer().deploy(target(), work({ since: Date.now() + at * 20_000 }));
      await assert.rejects(
        concluded(attempt, conclusion, at),
        refused(new RegExp(`found ${conclusion}: look at http.*/actions/runs/\\d+`), 'DeployFailed'),
      );
    }
    assert.equal(runs().length, 4);
  });

  it('does not start it twice: another process finds the run by its title', async () => {
    const since = Date.now();
    const killed = new AbortController();
    const first = deployer().deploy(target(), work({ since, signal: killed.signal }));
    await eventually('a look', async () => looks() > 0);
    killed.abort(new Error('killed'));
    await assert.rejects(first);
    await concluded(deployer().deploy(target(), work({ since })), 'success');
    assert.equal(runs().length, 1);
  });

  it('does not start it twice where the answer was lost', async () => {
    const since = Date.now();
    github.failNext({
      cut: true,
      afterwards: true,
      matching: (method, path) => method === 'POST' && path.endsWith('/dispatches'),
    });
    await assert.rejects(deployer().deploy(target(), work({ since })));
    await concluded(deployer().deploy(target(), work({ since })), 'success');
    assert.equal(runs().length, 1);
  });

  it('does not start it twice where the run is not listed at once', async () => {
    const since = Date.now();
    github.failNext({
      cut: true,
      afterwards: true,
      matching: (method, path) => method === 'POST' && path.endsWith('/dispatches'),
    });
    await assert.rejects(deployer().deploy(target(), work({ since })));
    const [run] = runs().splice(0);
    assert.ok(run);
    const listing = 'actions/list-workflow-runs';
    // The first look takes longer than the pause after it.
    github.beforeNext(listing, async () => {
      await pause(60);
      github.beforeNext(listing, async () => runs().push(run));
    });
    await concluded(deployer().deploy(target(), work({ since: since - 1_000 })), 'success');
    assert.deepEqual(runs(), [run]);
  });

  it('remembers the run where its title says nothing, for as long as the process lives', async () => {
    addWorkflow(github.repository(repository), { file: 'plain.yml', inputs: Object.keys(inputs) });
    const same = deployer();
    const at = target({ workflow: 'plain.yml' });
    const since = Date.now();
    github.failNext({ status: 502, matching: (method, path) => method === 'GET' && /\/runs\/\d+$/.test(path) });
    await assert.rejects(same.deploy(at, work({ since })));
    await concluded(same.deploy(at, work({ since })), 'success');
    assert.equal(runs().length, 1);
  });

  it('starts another run when an operator has the failed step done again', async () => {
    await assert.rejects(concluded(deployer().deploy(target(), work()), 'failure'));
    const [failed] = runs();
    assert.ok(failed);
    concludeRun(failed, 'failure', new Date(Date.now() - 5_000));
    await concluded(deployer().deploy(target(), work()), 'success', 1);
    assert.equal(runs().length, 2);
  });

  it('takes no other rollout of the same beginning for its own', async () => {
    const other = deployer().deploy({ ...target(), rollout: `${rollout}0` }, work());
    await aRun();
    await concluded(deployer().deploy(target(), work()), 'success', 1);
    await concluded(other, 'success');
    assert.deepEqual(
      runs().map(({ title }) => title),
      [`Deploy (${rollout}0)`, `Deploy (${rollout})`],
    );
  });

  it('finds the run in the list where the server does not say which it is', async () => {
    addWorkflow(github.repository(repository), {
      file: 'old.yml',
      inputs: Object.keys(inputs),
      runName: '{rollout}',
      silent: true,
    });
    const done = await concluded(deployer().deploy(target({ workflow: 'old.yml' }), work()), 'success');
    assert.equal(done.changed, true);
    assert.equal(runs().length, 1);
  });

  it('asks again without what an older server does not know', async () => {
    github.failNext({ status: 422, matching: (method) => method === 'POST' });
    await concluded(deployer().deploy(target(), work()), 'success');
    assert.equal(runs().length, 1);
  });

  it('is refused, with nothing changed, where there is no such workflow', async () => {
    await assert.rejects(
      deployer().deploy(target({ workflow: 'nope.yml' }), work()),
      refused(/such repository or resource/, 'ForgeRefused'),
    );
    github.failNext({ status: 422, times: 2, matching: (method) => method === 'POST' });
    await assert.rejects(
      deployer().deploy(target(), work()),
      refused(/deploy.yml of team\/deployment was not started/, 'DeployRefused'),
    );
    assert.equal(runs().length, 0);
  });

  it('gives up after its time, and says where to look', async () => {
    const attempt = deployer().deploy(target({ timeoutMs: 1 }), work());
    await assert.rejects(attempt, refused(/found queued after 0.001 s: look at http/, 'DeployFailed'));
  });

  it('ends at once when it is cancelled', async () => {
    const cancelled = new AbortController();
    const attempt = deployer().deploy(target(), work({ signal: cancelled.signal }));
    await aRun();
    cancelled.abort(new Error('cancelled'));
    await assert.rejects(attempt);
  });

  it('is limited as GitHub says', async () => {
    github.failNext({ rateLimit: 'secondary', seconds: 30 });
    await assert.rejects(deployer().deploy(target(), work()), limited(28, 31));
  });

  it('brings the image of before back by the same workflow', async () => {
    const before: RunningImage[] = [{ name: 'x', reference: `registry.example.test/team/web:1.0@${digestOf('B')}` }];
    const done = await concluded(deployer().restore(target(), before, work()), 'success');
    const inputsOfRun = runs()[0]?.inputs;
    assert.equal(inputsOfRun?.image, `registry.example.test/team/web:1.0@${digestOf('B')}`);
    assert.equal(inputsOfRun?.text, 'web production  {unknown}');
    assert.equal(done.running[0]?.digest, digestOf('B'));
  });

  it('has nothing to go back to where nobody knows what ran', async () => {
    assert.deepEqual(await deployer().running(target()), []);
    await assert.rejects(
      deployer().restore(target(), [], work()),
      refused(/nobody knows what production of web ran/, 'NothingBefore'),
    );
    for (const reference of ['registry.example.test/team/web:1.0', 'No Reference']) {
      const before = [{ name: 'x', reference }];
      await assert.rejects(deployer().restore(target(), before, work()), refused(/with its digest/, 'DeployRefused'));
    }
    assert.equal(runs().length, 0);
  });
});
