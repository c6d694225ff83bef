import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { laneQuery } from '../../src/contracts/messages.ts';
import { laneId } from '../../src/contracts/start-options.ts';
import { tag as pushTag } from '../support/images.ts';
import { eventually } from '../support/wait.ts';
import { goodImage, startWorld, type World } from '../support/world.ts';

describe('deliveries', function () {
  this.timeout(180_000);
  let world: World | undefined;
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') console.error(world?.lastWords());
    await world?.stop();
    world = undefined;
  });

  /** No rollout and no look-up is under way, and the lane has nobody. */
  const quiet = (current: World): Promise<true> =>
    eventually(
      'every rollout to end',
      async () => {
        const { client } = current.temporal;
        const query = `ExecutionStatus = 'Running' AND WorkflowType != 'lane'`;
        if ((await client.workflow.count(query)).count > 0) return false;
        return Object.keys((await client.workflow.getHandle(laneId('web')).query(laneQuery)).members).length === 0;
      },
      60_000,
    );

  it('of the same push, 50 times at once, give one rollout and one pull request', async () => {
    world = await startWorld({ forge: 'github' });
    await world.start();
    const { push, deliver, until, temporal, github } = world;
    const digest = await push('latest');
    const answers = await Promise.all(Array.from({ length: 50 }, () => deliver('latest', digest)));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
    await until('latest', digest, 'proposed');
    assert.equal(github.repository('team/deployment').pulls.length, 1);
    assert.equal((await temporal.client.workflow.count(`WorkflowType = 'rollout' AND LandfallStatus = 'proposed'`)).count, 1);
  });

  it('of an older push, signed and replayed, change nothing', async () => {
    world = await startWorld({ forge: 'github' });
    await world.start();
    const { push, deliver, until, github } = world;
    const older = await push('latest');
    await until('latest', older, 'proposed');
    const newer = await push('latest', { ...goodImage, labels: { version: '2' } });
    await until('latest', newer, 'proposed');
    await quiet(world);
    const { pulls, git } = github.repository('team/deployment');
    const before = { pulls: JSON.stringify(pulls), head: await git.resolve('refs/heads/landfall/web-production', 'commit') };
    assert.equal((await deliver('latest', older)).status, 202);
    await until('latest', older, 'superseded');
    await quiet(world);
    assert.equal(JSON.stringify(github.repository('team/deployment').pulls), before.pulls);
    assert.equal(await git.resolve('refs/heads/landfall/web-production', 'commit'), before.head);
  });

  for (const forge of ['git', 'github'] as const) {
    it(`late, repeated and in any order, of A, B, A, end in ${forge} with what the registry says when the last has come`, async () => {
      world = await startWorld({ forge });
      await world.start();
      const { push, deliver, registry, remote, github } = world;
      const a = await push('latest');
      await push('a', goodImage);
      const b = await push('latest', { ...goodImage, labels: { version: 'b' } });
      await pushTag(registry, 'team/web', 'a', 'latest');
      for (const digest of [b, a, a, b, b, a, b]) await deliver('latest', digest);
      await quiet(world);
      const folder = forge === 'git' ? remote.folder : github.folder('team/deployment');
      const show = ['show', 'landfall/web-production:docker-compose.yml'];
      assert.match((await promisify(execFile)('git', show, { cwd: folder })).stdout, new RegExp(`latest@${a}`));
      if (forge === 'git') return assert.equal((await remote.branches()).length, 2);
      const { pulls } = github.repository('team/deployment');
      assert.equal(pulls.length, 1);
      assert.match(pulls[0]?.body ?? '', new RegExp(a));
    });
  }
});
