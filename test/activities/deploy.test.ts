import assert from 'node:assert/strict';
import { CancelledFailure } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type Docker from 'dockerode';
import { createDeploy } from '../../src/activities/deploy.ts';
import type { DeployActivities, DeployStageInput } from '../../src/contracts/activities/delivery.ts';
import type { Deployed, StageSnapshot, VerifiedImage } from '../../src/domain/outcomes.ts';
import type { StagePlan, WatchPlan } from '../../src/domain/plan.ts';
import { failureOf, runActivity } from '../support/activity.ts';
import { type ComposeSite, composeText, createComposeSite, pinned } from '../support/compose-site.ts';
import { ensureDocker } from '../support/docker.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { eventually } from '../support/wait.ts';
import { deployDependencies } from './deploy-dependencies.ts';

const watch: WatchPlan = {
  probes: [{ kind: 'docker', restarts: 0 }],
  forMs: 1_000,
  intervalMs: 100,
  failures: 0,
  startPeriodMs: 0,
  withinMs: 10_000,
};

describe('the deploy activities', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  let site: ComposeSite;
  let first: VerifiedImage;
  let activities: DeployActivities;

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
  });
  after(async () => {
    await registry.stop();
  });
  beforeEach(async () => {
    site = await createComposeSite(docker, registry, (image) => {
      first = image;
      return { 'compose.yaml': composeText({ web: pinned(image) }) };
    });
    activities = createDeploy(deployDependencies(docker, { data: site.data, env: site.options.env }));
  });
  afterEach(async () => {
    await site.destroy();
  });

  const workflowExecution = { workflowId: 'rollout:shop:1:abc', runId: 'run-1' };
  function inputOf(image: VerifiedImage, turn: number, stage: Partial<StagePlan> = {}): DeployStageInput {
    const { plan, stage: usual } = site.target(image, { change: false });
    return { plan, stage: { ...usual, ...stage }, image, turn };
  }
  function deploy(input: DeployStageInput) {
    return runActivity(activities.deployStage, input, { workflowExecution }) as Promise<Deployed>;
  }
  function survey(input: DeployStageInput) {
    return runActivity(activities.snapshotStage, input, { workflowExecution }) as Promise<StageSnapshot>;
  }

  it('survey what runs with one reading, and none before a first deployment', async () => {
    const input = inputOf(first, 1, { watch });
    assert.deepEqual(await survey(input), { kind: 'snapshot', running: [] });
    const { running } = await deploy(input);
    const found = await survey(input);
    assert.deepEqual(found.running, running);
    assert.equal(found.reading?.healthy, true);
    assert.deepEqual(await survey(inputOf(first, 1)), { kind: 'snapshot', running });
  });

  it('survey by the reading alone where something else deploys', async () => {
    const { deploy: _none, ...stage } = inputOf(first, 1).stage;
    const tcp: WatchPlan = { ...watch, probes: [{ kind: 'tcp', host: '127.0.0.1', port: registry.port, timeoutMs: 1_000 }] };
    const found = await survey({ ...inputOf(first, 1), stage: { ...stage, watch: tcp } });
    assert.deepEqual([found.running, found.reading?.healthy], [[], true]);
  });

  it('survey, cancelled while Compose still reads its files, and nothing is left that fails with nobody listening', async () => {
    await deploy(inputOf(first, 1));
    const slowly = await site.composeThat('config', 'echo asked >> asked.txt; while ! test -e go.txt; do sleep 0.05; done');
    const slow = createDeploy(
      deployDependencies(docker, { data: site.data, env: { ...site.options.env, DOCKER_COMPOSE: slowly } }),
    );
    const logger = new DefaultLogger('ERROR');
    const environment = new MockActivityEnvironment({ workflowExecution, scheduledTimestampMs: Date.now() }, { logger });
    const outcome = environment.run(slow.snapshotStage, inputOf(first, 1, { watch }));
    await eventually('Compose to be asked', () => site.read('asked.txt').catch(() => undefined));
    environment.cancel();
    await site.write({ 'go.txt': '' });
    await assert.rejects(outcome, CancelledFailure);
    // What was asked meanwhile has failed by the time that this is answered.
    await docker.ping();
  });

  it('deploy for a rollout, go back with a later turn, and refuse the earlier one from then on', async () => {
    const after = [['sh', '-c', 'echo $LANDFALL_ROLLOUT > rollout.txt']];
    await deploy(inputOf(first, 1, site.stage({ change: false, deploy: { after } })));
    assert.equal(await site.read('rollout.txt'), `${workflowExecution.workflowId}\n`);
    const next = await site.image('2');
    const { running: before } = await survey(inputOf(next, 2));
    await deploy(inputOf(next, 2));
    const back = await runActivity(activities.rollBackStage, { ...inputOf(next, 3), before }, { workflowExecution });
    assert.ok(back.kind === 'deployed' && back.running[0]?.digest === first.digest);
    const failure = await failureOf(deploy(inputOf(next, 2)));
    assert.deepEqual([failure.type, failure.nonRetryable], ['TurnPassed', true]);
    assert.equal((await survey(inputOf(next, 2))).running[0]?.digest, first.digest);
    assert.equal(await runActivity(activities.discardPrevious, inputOf(next, 3), { workflowExecution }), undefined);
  });

  it('refuse a stage that something else deploys', async () => {
    const { deploy: _none, ...stage } = inputOf(first, 1).stage;
    const failure = await failureOf(deploy({ ...inputOf(first, 1), stage }));
    assert.equal(failure.type, 'DeployRefused');
  });

  describe('in one directory', () => {
    /** Says that it began, and goes on when it is told to; whoever runs beside it says so too. */
    const slow = ['sh', '-c', 'echo begin >> order.txt; while ! test -e go.txt; do sleep 0.05; done; echo end >> order.txt'];
    function slowInput(stage: string) {
      return inputOf(first, 1, { ...site.stage({ change: false, deploy: { before: [slow] } }), name: stage });
    }
    const begun = () => eventually('the command to begin', () => site.read('order.txt').catch(() => undefined));

    it('come one after the other, also those of two stages', async () => {
      const both = ['production', 'canary'].map((stage) => deploy({ ...slowInput(stage) }));
      await begun();
      await site.write({ 'go.txt': '' });
      const changed = (await Promise.all(both)).map((each) => each.changed);
      assert.deepEqual(changed.sort(), [false, true]);
      assert.equal(await site.read('order.txt'), 'begin\nend\n');
    });

    it('are given up while they wait, when they are cancelled', async () => {
      const running = deploy(slowInput('production'));
      await begun();
      const logger = new DefaultLogger('ERROR');
      const waiting = new MockActivityEnvironment({ workflowExecution, scheduledTimestampMs: Date.now() }, { logger });
      const outcome = waiting.run(activities.deployStage, slowInput('canary'));
      waiting.cancel();
      await assert.rejects(outcome, CancelledFailure);
      await site.write({ 'go.txt': '' });
      assert.equal((await running).changed, true);
    });
  });
});
