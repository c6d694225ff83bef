import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { findTool } from '../../src/platform/tools.mjs';
import { ensureDocker, labelled } from '../support/docker.ts';
import { goodImage, startWorld, type World } from '../support/world.ts';

const run = promisify(execFile);
const branch = 'landfall/web-production';

describe('a push to a real registry', function () {
  this.timeout(180_000);
  let world: World | undefined;
  const setUp = async (...args: Parameters<typeof startWorld>): Promise<World> => {
    world = await startWorld(...args);
    await world.start();
    return world;
  };
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.error(world?.lastWords());
    await world?.stop();
    world = undefined;
  });

  it('becomes a branch in a plain git repository that changes one line, and nothing is left behind', async () => {
    const { push, until, remote, host } = await setUp({ forge: 'git' });
    const digest = await push('latest');
    const state = await until('latest', digest, 'proposed');
    assert.deepEqual(await remote.branches(), [branch, 'main']);
    const changes = (await remote.diff('main', branch)).split('\n').filter((line) => /^[-+] /.test(line));
    assert.deepEqual(changes, [
      `-    image: ${host}/team/web:0.9 # pinned by Landfall`,
      `+    image: ${host}/team/web:latest@${digest} # pinned by Landfall`,
    ]);
    assert.ok(state.proposals.production?.url.endsWith(`#${branch}`));
    assert.deepEqual(await labelled(await ensureDocker(), `rollout:web:latest:${digest.slice(7, 19)}`), []);
  });

  it('becomes a pull request at GitHub that names digest and findings, with statuses, in a valid compose file', async () => {
    const { push, until, github, temporal, rollout } = await setUp({ forge: 'github' });
    const digest = await push('latest');
    await until('latest', digest, 'proposed');
    const { pulls, statuses, git } = github.repository('team/deployment');
    assert.equal(pulls.length, 1);
    assert.equal(pulls[0]?.title, '🚀 Auto-update: web image');
    assert.match(pulls[0]?.body ?? '', new RegExp(`${digest}[^]*no findings`, 'i'));
    assert.deepEqual(statuses.map(({ context, state }) => `${context} ${state}`).sort(), [
      'landfall/scan success',
      'landfall/smoke success',
      'landfall/verify success',
    ]);
    const { stdout } = await run('git', ['diff', '-U0', 'main', branch], { cwd: git.folder });
    assert.equal(stdout.split('\n').filter((line) => /^[-+] /.test(line)).length, 2, stdout);
    await assertValidCompose(git.folder);
    const { historyLength } = await rollout('latest', digest).describe();
    assert.ok(historyLength <= 60, `${historyLength} events`);
    assert.equal((await temporal.client.workflow.count(`LandfallStatus = 'proposed'`)).count, 1);
  });

  it('with a critical vulnerability is blocked at scan, with the finding, and proposed once that is waived', async () => {
    const { push, until, rollout, github } = await setUp({ forge: 'github' });
    const digest = await push('latest', {
      ...goodImage,
      files: { 'app/node_modules/minimist/package.json': '{"name":"minimist","version":"1.2.5"}' },
    });
    const state = await until('latest', digest, 'blocked');
    assert.match(state.reason ?? '', /CVE-2021-44906.*minimist/);
    assert.equal(github.repository('team/deployment').pulls.length, 0);
    await rollout('latest', digest).executeUpdate('skip', { args: [{ step: 'scan', by: 'ann', reason: 'not reachable' }] });
    await until('latest', digest, 'proposed');
    assert.match(github.repository('team/deployment').pulls[0]?.body ?? '', /ann.*not reachable/s);
  });

  it('whose container exits at once is blocked at smoke, with its last log lines', async () => {
    const { push, until } = await setUp({ forge: 'git' });
    const digest = await push('latest', { busybox: true, cmd: ['sh', '-c', 'echo no such database; exit 3'] });
    const state = await until('latest', digest, 'blocked');
    const smoke = state.steps.find(({ step }) => step === 'smoke');
    assert.match(JSON.stringify(smoke?.details), /no such database/);
    assert.match(smoke?.reason ?? '', /exit.*3/i);
  });

  it('updates the open pull request when a newer digest comes', async () => {
    const { push, until, github } = await setUp({ forge: 'github' });
    await until('latest', await push('latest'), 'proposed');
    const second = await push('latest', { ...goodImage, labels: { version: '2' } });
    await until('latest', second, 'proposed');
    const { pulls } = github.repository('team/deployment');
    assert.equal(pulls.length, 1);
    assert.match(pulls[0]?.body ?? '', new RegExp(second));
  });
});

async function assertValidCompose(repository: string): Promise<void> {
  const compose = findTool('docker-compose', process.env);
  assert.ok(compose !== undefined, 'docker-compose is missing: run `node scripts/setup.mjs`');
  const { stdout: text } = await run('git', ['show', `${branch}:docker-compose.yml`], { cwd: repository });
  const checking = run(compose, ['-f', '-', 'config', '--quiet']);
  checking.child.stdin?.end(text);
  await checking;
}
