import assert from 'node:assert/strict';
import { InterceptingCall } from '@grpc/grpc-js';
import { Connection } from '@temporalio/client';
import { sealedClient } from '../../src/contracts/sealed-client.ts';
import {
  globalHoldStartOptions,
  laneId,
  laneStartOptions,
  rolloutId,
  rolloutStartOptions,
  taskQueues,
} from '../../src/contracts/start-options.ts';
import { quoted } from '../../src/contracts/visibility.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import { emptyLane, type LaneState, type StageLane } from '../../src/domain/lane/state.ts';
import type { Plan } from '../../src/domain/plan.ts';
import {
  countRollouts,
  InvalidInput,
  listRolloutPage,
  parseInput,
  readOverview,
  readStory,
  rolloutPageFilter,
} from '../../src/operations/index.ts';
import { standInLanes, standInRollouts } from '../cli/stand-ins.ts';
import { startNamespace, type TestNamespace, testSealing } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { runWorkers, type TestWorkers } from '../support/worker.ts';

describe('what is going on, for whoever is on call', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers | undefined;
  let counted: Connection;
  /** Names of the calls of Temporal since the last look. */
  let calls: string[] = [];
  let client: TestNamespace['client'];

  before(async () => {
    temporal = await startNamespace();
    counted = await Connection.connect({
      address: temporal.address,
      interceptors: [
        (options, next) => {
          calls.push(options.method_definition.path.split('/').at(-1) ?? '');
          return new InterceptingCall(next(options));
        },
      ],
    });
    client = sealedClient({ connection: counted, namespace: temporal.namespace, sealing: testSealing });
    workers = await runWorkers(temporal, [standInRollouts, standInLanes]);
    await startRollout('asking');
    await startRollout('web');
    for (const fill of ['b', 'c', 'd', 'e', 'f']) await startRollout('listed', fill, 'nobody-works-here');
    await startLane('asking', {});
    await startLane('web', {
      ...emptyLane(),
      stages: { staging: watched, production: pinned },
      quarantine: { [digestOf('9')]: bad },
    });
    const there = async () => (await client.workflow.count("LandfallStatus IN ('blocked', 'waiting')")).count === 2;
    await eventually('the columns of those that stand still', there);
  });

  after(async () => {
    await workers?.stop();
    await counted?.close();
    await temporal?.stop();
  });

  async function startRollout(service: string, fill = 'a', taskQueue: string = taskQueues.main): Promise<string> {
    const image = { repository, tag: 'latest' as Tag, digest: digestOf(fill) };
    const push = { source: 'test', deliveryId: fill, repository, tag: image.tag, receivedAt: new Date().toISOString() };
    const plan: Plan = {
      service,
      repository,
      tags: { kind: 'exact', tags: [image.tag] },
      platforms: [],
      checks: [],
      stages: [],
      decideWithinMs: 1,
    };
    await temporal.client.workflow.start('rollout', { ...rolloutStartOptions({ plan, image, push }), taskQueue });
    return rolloutId(service, image);
  }

  async function startLane(service: string, state: Partial<LaneState>): Promise<void> {
    const options = { ...laneStartOptions(service), args: [{ service, state: { ...emptyLane(), ...state } }] };
    await temporal.client.workflow.start('lane', options);
    await temporal.client.workflow.getHandle(laneId(service)).query('lane');
  }

  const page = (filter: object) => listRolloutPage(client, parseInput(rolloutPageFilter, filter));

  it('shows each stage with what it runs, its health, and what keeps it so', async () => {
    const { services } = await readOverview(client, [{ service: 'new', stages: ['production'] }]);
    assert.deepEqual(
      services.map(({ service }) => service),
      ['asking', 'new', 'web'],
    );
    const [, fresh, web] = services;
    assert.deepEqual(fresh?.stages, [{ stage: 'production', waiting: 0 }]);
    const [staging, production] = web?.stages ?? [];
    assert.equal(staging?.running?.health, 'watched');
    assert.deepEqual(staging?.turn, { rollout: 'rollout:web:2:222222222222', changing: true });
    assert.deepEqual(production?.running, {
      ...{ repository, tag: '1', digest: digestOf('1'), since: at, rollout: 'rollout:web:1:111111111111' },
      health: 'healthy',
    });
    assert.match(production?.stopped ?? '', /^pinned to sha256:9+, which is in quarantine/);
  });

  it('shows what waits for a person, since when, and the commands that answer it', async () => {
    const { asking, underWay, isCut } = await readOverview(client);
    assert.deepEqual([underWay.length, isCut], [7, false]);
    const [one, other] = asking.map(({ service, questions }) => ({ service, questions }));
    assert.deepEqual([one?.service, other?.service].sort(), ['asking', 'web']);
    const approval = [one, other].find((each) => each?.service === 'asking')?.questions[0];
    assert.deepEqual([approval?.asks, approval?.stage, approval?.decisions], ['approval', 'production', ['approve', 'reject']]);
    assert.match(approval?.advice ?? '', /^landfall approve asking:latest:a{12} --stage production, or landfall reject/);
    const blocked = [one, other].find((each) => each?.service === 'web')?.questions ?? [];
    assert.deepEqual(
      blocked.map(({ step, asks, failure }) => [step, asks, failure]),
      [
        ['scan', 'decision', 'ScanRejected'],
        ['smoke', 'decision', 'SmokeFailed'],
      ],
    );
    assert.match(blocked[0]?.advice ?? '', /landfall retry web:latest:a{12} scan, skip web:latest:a{12} scan --reason TEXT/);
  });

  it('asks Temporal for three lists and a hold, and once each lane and rollout that stands still', async () => {
    calls = [];
    await readOverview(client);
    const count = (name: string) => calls.filter((call) => call === name).length;
    assert.deepEqual([count('ListWorkflowExecutions'), count('DescribeWorkflowExecution'), count('QueryWorkflow')], [2, 1, 4]);
    assert.equal(calls.length, 7);
  });

  it('lists in pages, newest first, with one call for each', async () => {
    calls = [];
    const seen: string[] = [];
    let cursor: string | undefined;
    do {
      const { rows, next } = await page({ service: 'listed', limit: 2, cursor });
      seen.push(...rows.map(({ digest }) => digest));
      cursor = next;
    } while (cursor !== undefined);
    assert.deepEqual(seen, ['f', 'e', 'd', 'c', 'b'].map(digestOf));
    assert.deepEqual(
      calls,
      Array.from(calls, () => 'ListWorkflowExecutions'),
    );
    assert.ok(calls.length <= 4, String(calls.length));
  });

  for (const [what, filter, found] of [
    ['by digest', { digest: 'cccccccc' }, ['c']],
    ['by image', { image: 'ghcr.io/team/app:latest', service: 'listed' }, ['f', 'e', 'd', 'c', 'b']],
    ['by repository', { image: 'ghcr.io/team/app', digest: digestOf('d') }, ['d']],
    ['by another repository', { image: 'ghcr.io/team/other' }, []],
    ['by status', { status: ['blocked'] }, ['a']],
    ['by several statuses', { status: ['blocked', 'waiting', 'delivered'] }, ['a', 'a']],
    ['by a time that is over', { to: '2020-01-01T00:00:00Z' }, []],
    ['by a time until now', { service: 'listed', from: '2020-01-01T00:00:00Z', limit: 1 }, ['f']],
    ['by a text of it', { text: 'LISTED:latest:EE' }, ['e']],
    ['by a text of its reason', { text: 'asked: false', status: ['blocked'] }, ['a']],
  ] as const) {
    it(`finds rollouts ${what}`, async () => {
      const { rows } = await page(filter);
      assert.deepEqual(
        rows.map(({ digest }) => digest),
        found.map(digestOf),
      );
    });
  }

  /** The second ends a literal where only quotes are doubled. */
  const hostile = ['\\', "\\' OR WorkflowType = 'lane' -- ", "'", "a' OR 'b' = 'b", "\\\\'"];

  it('takes a text for a text, whatever is in it', async () => {
    for (const text of hostile) {
      for (const condition of [`LandfallStage = ${quoted(text)}`, `WorkflowId STARTS_WITH ${quoted(`x${text}`)}`]) {
        assert.equal((await client.workflow.count(condition)).count, 0, condition);
      }
    }
  });

  it('takes as a stage what can be the name of one, or the platform of a build', async () => {
    for (const stage of [...hostile, '', 'a b', 'a'.repeat(100)]) {
      assert.throws(() => parseInput(rolloutPageFilter, { stage }), InvalidInput, stage);
    }
    for (const stage of ['eu-west_1', 'linux/arm64/v8']) assert.deepEqual((await page({ stage })).rows, []);
  });

  it('counts what a filter finds', async () => {
    assert.equal(await countRollouts(client, parseInput(rolloutPageFilter, { service: 'listed' })), 5);
  });

  it('goes on behind the last row of a page that a text was found on', async () => {
    const first = await page({ text: 'listed', limit: 3 });
    const second = await page({ text: 'listed', limit: 3, cursor: first.next });
    assert.deepEqual(
      [...first.rows, ...second.rows].map(({ digest }) => digest),
      ['f', 'e', 'd', 'c', 'b'].map(digestOf),
    );
    assert.equal(second.next, undefined);
  });

  it('refuses a cursor of another list, or of nobody', async () => {
    const { next } = await page({ service: 'listed', limit: 2 });
    await assert.rejects(page({ service: 'web', limit: 2, cursor: next }), InvalidInput);
    await assert.rejects(page({ cursor: 'bm90aGluZw' }), InvalidInput);
    const { of } = JSON.parse(Buffer.from(next ?? '', 'base64url').toString()) as { of: string };
    const forged = Buffer.from(JSON.stringify({ of, token: 'bm90aGluZw' })).toString('base64url');
    await assert.rejects(page({ service: 'listed', limit: 2, cursor: forged }), InvalidInput);
  });

  it('tells one rollout with what its checks found, and the lines of its logs', async () => {
    const story = await readStory(client, `rollout:web:latest:${'a'.repeat(12)}`);
    assert.deepEqual(
      story.findings.map(({ step }) => step),
      ['scan', 'smoke'],
    );
    assert.equal(story.row.status, 'blocked');
    assert.equal(story.questions.length, 2);
  });

  it('shows that everything is held', async () => {
    const hold = { by: 'ann', at, reason: 'a fire' };
    await temporal.client.workflow.start('globalHold', { ...globalHoldStartOptions(), memo: { hold } });
    const { globalHold } = await readOverview(client);
    assert.deepEqual(globalHold, hold);
  });

  it('knows what Temporal knows while no worker answers', async () => {
    await workers?.stop();
    workers = undefined;
    const { services, asking, underWay } = await readOverview(client);
    assert.deepEqual(
      services.map(({ problem }) => problem?.slice(0, 17)),
      ['no worker answers', 'no worker answers'],
    );
    assert.deepEqual([asking.map(({ service }) => service), underWay.length], [['web'], 7]);
  });
});

const repository = 'ghcr.io/team/app' as Repository;
const at = '2026-01-02T03:04:05.000Z';
const bad = { reason: 'it was bad', at };

function digestOf(fill: string): Digest {
  return `sha256:${fill.repeat(64)}` as Digest;
}

function stageWith(fill: string, more: Partial<StageLane>): StageLane {
  const rollout = `rollout:web:${fill}:${fill.repeat(12)}`;
  const image = { repository, tag: fill as Tag, digest: digestOf(fill) };
  const verified = { ...image, mediaType: 'm', platforms: [], size: 1 };
  const plan: Plan = {
    service: 'web',
    repository,
    tags: { kind: 'exact', tags: [image.tag] },
    platforms: [],
    checks: [],
    stages: [],
    decideWithinMs: 1,
  };
  const running = { ...image, since: at, rollout, plan, image: verified, before: { running: [] } };
  return { turn: 1, waiters: [], running, ...more };
}

const watched = stageWith('2', { holder: 'rollout:web:2:222222222222', begun: true });
const pinned = stageWith('1', {
  current: { rollout: 'r', tag: '1' as Tag, digest: digestOf('1'), sequence: 1, manual: false },
  pin: { by: 'ann', at, digest: digestOf('9') },
});
