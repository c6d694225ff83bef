import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import { createDeploy } from '../../src/activities/deploy.ts';
import type { RollbackInput } from '../../src/contracts/activities/delivery.ts';
import type { ComposeDeployPlan } from '../../src/deploys/compose/context.ts';
import type { VerifiedImage } from '../../src/domain/outcomes.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { runActivity } from '../support/activity.ts';
import { type ComposeSite, composeText, createComposeSite, pinned } from '../support/compose-site.ts';
import { ensureDocker } from '../support/docker.ts';
import { type Registry, startRegistry } from '../support/registry.ts';
import { eventually } from '../support/wait.ts';
import { deployDependencies } from './deploy-dependencies.ts';

type Input = Omit<RollbackInput, 'before'> & Partial<Pick<RollbackInput, 'before'>>;

describe('a deploy whose worker is killed', function () {
  this.timeout(60_000);
  let docker: Docker;
  let registry: Registry;
  let site: ComposeSite;
  let first: VerifiedImage;
  let next: VerifiedImage;
  let env: Record<string, string | undefined>;
  let workers: ChildProcess[];

  before(async () => {
    docker = await ensureDocker();
    registry = await startRegistry();
  });
  after(async () => {
    await registry.stop();
  });
  beforeEach(async () => {
    workers = [];
    site = await createComposeSite(docker, registry, (image) => {
      first = image;
      return { 'compose.yaml': composeText({ web: pinned(image) }) };
    });
    await site.compose('up', '--detach', '--quiet-pull');
    next = await site.image('2');
    env = { ...site.options.env, DOCKER_COMPOSE: await slowCompose() };
  });
  afterEach(async () => {
    for (const worker of workers) worker.kill('SIGKILL');
    await site.write({ 'go.txt': '' });
    await site.destroy();
  });

  /** Docker Compose that counts its `up`s, holds each back until it may go on, and tells where two are at it at once. */
  async function slowCompose(): Promise<string> {
    const path = join(site.directory, 'slow-compose');
    const real = `'${findTool('docker-compose')}' "$@"`;
    const script = [
      `case " $* " in *" up "*) ;; *) exec ${real};; esac`,
      `cd '${site.directory}' && echo up >> ups.txt`,
      'mkdir alone || echo two >> two.txt',
      'while ! test -e go.txt; do sleep 0.05; done',
      `${real}; code=$?`,
      'rmdir alone; exit $code',
    ];
    await writeFile(path, `#!/bin/sh\n${script.join('\n')}\n`);
    await chmod(path, 0o755);
    return path;
  }
  function inputOf(deploy: Partial<ComposeDeployPlan> = {}): Input {
    const { plan, stage } = site.target(next, { change: false, deploy });
    return { plan, stage, image: next, turn: 1 };
  }
  const workflowId = 'rollout:shop:2:abc';

  /** @param until what is there when it is to die */
  async function killOnce(input: Input, until: string) {
    const order = { input, workflowId, folders: { data: site.data, env } };
    const script = fileURLToPath(new URL('./deploy-and-die.ts', import.meta.url));
    const worker = spawn(process.execPath, [script, JSON.stringify(order)], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    workers.push(worker);
    const exited = once(worker, 'exit');
    await eventually(until, () => site.read(until).catch(() => undefined));
    assert.equal(worker.exitCode, null, 'the worker ended before it was killed');
    worker.kill('SIGKILL');
    await exited;
  }
  /** The next try, by another worker. */
  async function tryAgain(input: Input) {
    const activities = createDeploy(deployDependencies(docker, { data: site.data, env }));
    const info = { workflowExecution: { workflowId, runId: 'run-1' }, attempt: 2 };
    const { before } = input;
    const outcome = await (before === undefined
      ? runActivity(activities.deployStage, input, info)
      : runActivity(activities.rollBackStage, { ...input, before }, info));
    assert.equal(outcome.kind, 'deployed');
    return outcome.kind === 'deployed' ? outcome : assert.fail();
  }

  it('in a command before: the next try waits for the command to end, and runs it again', async () => {
    const begin = 'mkdir alone || echo two >> two.txt; echo run >> runs.txt';
    const command = ['sh', '-c', `${begin}; while ! test -e migrate.txt; do sleep 0.05; done; rmdir alone`];
    const input = inputOf({ before: [command] });
    await site.write({ 'go.txt': '' });
    await killOnce(input, 'runs.txt');
    const trying = tryAgain(input);
    // That nothing happens cannot be awaited.
    assert.equal(await Promise.race([trying, pause(700, 'waits')]), 'waits');
    assert.equal(await site.read('runs.txt'), 'run\n');
    await site.write({ 'migrate.txt': '' });
    assert.equal((await trying).running[0]?.digest, next.digest);
    assert.equal(await site.read('runs.txt'), 'run\nrun\n');
    await assert.rejects(site.read('two.txt'));
  });

  it('in docker compose up: that goes on without it, and the next try waits for it and goes on from there', async () => {
    const input = inputOf({ before: [['sh', '-c', 'echo run >> runs.txt']], after: [['sh', '-c', 'echo run >> after.txt']] });
    await killOnce(input, 'ups.txt');
    const trying = tryAgain(input);
    await site.write({ 'go.txt': '' });
    const deployed = await trying;
    assert.deepEqual([deployed.changed, deployed.running[0]?.digest], [true, next.digest]);
    const logs = [await site.read('runs.txt'), await site.read('after.txt')];
    assert.deepEqual(logs, ['run\n', 'run\n']);
    await assert.rejects(site.read('two.txt'));
    assert.equal((await site.containers('web')).length, 1);
  });

  it('in docker compose up: what ran is kept as it ran, whatever the next try finds, and comes back', async () => {
    const bad = { web: { command: ['sh', '-c', 'exit 2'] } };
    await site.remote.commit('main', { 'compose.yaml': composeText({ web: pinned(next) }, bad) }, 'web 2 and an option');
    const { plan, stage } = site.target(next, { change: { file: 'compose.yaml' }, deploy: { others: 'apply' } });
    const input: Input = { plan, stage, image: next, turn: 1 };
    const before = await site.deployer.running(site.target(next));
    await killOnce(input, 'ups.txt');
    await site.write({ 'go.txt': '' });
    await assert.rejects(tryAgain(input), /exited with code 2/);
    await tryAgain({ ...input, before });
    const { Config } = await docker.getContainer((await site.containers('web'))[0] ?? '').inspect();
    assert.deepEqual([Config.Image, Config.Cmd], [pinned(first), ['sleep', '600']]);
  });

  it('while it waits for health: the next try waits on, for the same container', async () => {
    const healthy = await site.image('healthy', {
      healthcheck: { test: ['CMD', 'test', '-e', '/tmp/well'], intervalMs: 200, retries: 200 },
    });
    next = healthy;
    const input = inputOf({ after: [['sh', '-c', 'echo run >> after.txt']] });
    await site.write({ 'go.txt': '' });
    const killed = killOnce(input, 'starting.txt');
    const container = await eventually('the container', async () => {
      const [id = '', ...others] = await site.containers('web');
      // It is being recreated.
      const found =
        others.length > 0
          ? undefined
          : await docker
              .getContainer(id)
              .inspect()
              .catch(() => undefined);
      return found?.Config.Image === pinned(healthy) && found.State.Health?.Status === 'starting' ? found : undefined;
    });
    await site.write({ 'starting.txt': 'now' });
    await killed;
    const trying = tryAgain(input);
    const exec = await docker.getContainer(container.Id).exec({ Cmd: ['touch', '/tmp/well'] });
    await exec.start({ Detach: true });
    assert.equal((await trying).running[0]?.digest, healthy.digest);
    assert.deepEqual(await site.containers('web'), [container.Id]);
    assert.equal(await site.read('after.txt'), 'run\n');
  });

  it('on its way back: what ran before runs again, once', async () => {
    await site.write({ 'go.txt': '' });
    const before = await site.deployer.running(site.target(next));
    await tryAgain(inputOf());
    await site.git('clean', '--quiet', '--force', 'go.txt', 'ups.txt');
    const input = { ...inputOf(), turn: 2, before };
    await killOnce(input, 'ups.txt');
    const trying = tryAgain(input);
    await site.write({ 'go.txt': '' });
    assert.equal((await trying).running[0]?.digest, first.digest);
    await assert.rejects(site.read('two.txt'));
  });
});
