/**
 * `npm run record`: runs each scenario on a real Temporal server and keeps its history here. Only for new scenarios: a history that is here
 * was made by a version that is released, and every later version must be able to replay it (changes go through `patched`).
 */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WithStartWorkflowOperation, type WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { Dependencies } from '../../src/activities/dependencies.ts';
import { createNotify } from '../../src/activities/notify.ts';
import type { Activities } from '../../src/contracts/activities/index.ts';
import { stateQuery } from '../../src/contracts/messages.ts';
import {
  buildStartOptions,
  globalHoldId,
  globalHoldStartOptions,
  laneId,
  mergeQueueId,
  notifyId,
  resolveId,
  resolveStartOptions,
  rolloutStartOptions,
  searchId,
  taskQueues,
} from '../../src/contracts/start-options.ts';
import type { Plan } from '../../src/domain/plan.ts';
import type { SearchStart } from '../../src/domain/search.ts';
import { findTool } from '../../src/platform/tools.mjs';
import { fakeActivities, passes, type TagTable } from '../support/fake-activities.ts';
import { buildStartOf } from '../support/fake-builds.ts';
import { type FakeDelivery, fakeDelivery } from '../support/fake-delivery.ts';
import { notifierOf } from '../support/notifiers.ts';
import { delivered, digestOf, imageOf, planOf, pushOf, stageOf } from '../support/plans.ts';
import { startTemporal, type TestTemporal } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { startWorkers } from '../support/worker.ts';

interface Stage {
  readonly temporal: TestTemporal;
  readonly tags: TagTable;
  begin(plan: Plan, word: string): Promise<WorkflowHandle>;
  untilBlocked(handle: WorkflowHandle): Promise<unknown>;
}

interface Scenario {
  readonly activities?: (usual: Activities, temporal: TestTemporal) => Partial<Activities>;
  /** Changes what the stages of the scenario meet. */
  readonly world?: (world: FakeDelivery) => unknown;
  /** Plays it, and names the workflow whose history is kept. */
  play(stage: Stage): Promise<WorkflowHandle>;
}

const refuse = async (): Promise<never> => {
  throw ApplicationFailure.create({ type: 'ScanRejected', message: 'no', nonRetryable: true });
};

const approval = { from: [{ name: 'ann' }], required: 1, withinMs: 3_600_000, selfApproval: true, verified: false };
const told = notifierOf('discord', 'env:DISCORD_URL', ['proposed', 'approval', 'healthy', 'delivered']);

async function until(handle: WorkflowHandle, status: string): Promise<void> {
  await eventually(`${handle.workflowId} to be ${status}`, async () => (await handle.query(stateQuery)).status === status);
}

const scenarios: Readonly<Record<string, Scenario>> = {
  'rollout-proposed': {
    async play({ begin }) {
      const handle = await begin(planOf(), 'proposed');
      await handle.result();
      return handle;
    },
  },
  'rollout-dispatched': {
    async play({ begin }) {
      const dispatch = { repository: 'team/deployment', event: 'image' };
      const { change: _, ...stage } = stageOf('production', { dispatch });
      const handle = await begin(planOf({ stages: [stage] }), 'dispatched');
      await handle.result();
      return handle;
    },
  },
  'rollout-skipped-in-two-stages': {
    activities: (usual) => ({
      'check:scan': refuse,
      propose: async (input) =>
        input.stage.name === 'staging' ? { kind: 'unchanged', base: 'main', head: 'a'.repeat(40) } : usual.propose(input),
    }),
    async play({ begin, untilBlocked }) {
      const dispatch = { repository: 'team/deployment', event: 'image' };
      const handle = await begin(planOf({ stages: [stageOf('staging'), stageOf('production', { dispatch })] }), 'skipped');
      await untilBlocked(handle);
      await handle.executeUpdate('skip', { args: [{ by: 'ann', reason: 'not reachable' }] });
      await handle.result();
      return handle;
    },
  },
  'rollout-limited-then-aborted': {
    activities: (usual) => {
      let calls = 0;
      return {
        verify: async (input) =>
          ++calls === 1 ? { kind: 'rate-limited', until: new Date(Date.now() + 1_000).toISOString() } : usual.verify(input),
        'check:scan': refuse,
      };
    },
    async play({ begin, untilBlocked }) {
      const handle = await begin(planOf(), 'aborted');
      await untilBlocked(handle);
      await handle.executeUpdate('abort', { args: [{ by: 'ann' }] });
      await handle.result();
      return handle;
    },
  },
  /** What came before was recorded when nothing was sealed yet. A "no", an update, and every step to the end. */
  'rollout-sealed': {
    activities: () => ({ 'check:scan': refuse }),
    async play({ begin, untilBlocked }) {
      const handle = await begin(planOf({ stages: [stageOf('production', { ...delivered, approval })] }), 'sealed');
      await untilBlocked(handle);
      await handle.executeUpdate('skip', { args: [{ by: 'ann', step: 'scan', reason: 'not reachable' }] });
      await until(handle, 'waiting');
      await handle.executeUpdate('approve', { args: [{ by: 'ann' }] });
      await handle.result();
      return handle;
    },
  },
  'lane-sealed': {
    async play({ begin, temporal }) {
      const lane = temporal.client.workflow.getHandle(laneId('web'));
      await (await begin(planOf({ stages: [stageOf('production', delivered)] }), 'sealed')).result();
      await lane.executeUpdate('hold', { args: [{ by: 'ann' }] });
      return lane;
    },
  },
  'rollout-superseded': {
    activities: () => ({ 'check:scan': async (input) => (input.image.digest === digestOf('older') ? refuse() : passes()) }),
    async play({ begin, untilBlocked, tags }) {
      const plan = planOf();
      tags.set(`${plan.repository}:latest`, digestOf('older'));
      const older = await begin(plan, 'older');
      await untilBlocked(older);
      tags.set(`${plan.repository}:latest`, digestOf('newer'));
      await (await begin(plan, 'newer')).result();
      await older.result();
      return older;
    },
  },
  'rollout-delivered': {
    async play({ begin }) {
      const stages = [stageOf('staging', delivered), stageOf('production', { ...delivered, approval })];
      const handle = await begin(planOf({ stages, notify: [told] }), 'delivered');
      await until(handle, 'waiting');
      await handle.executeUpdate('approve', { args: [{ by: 'ann', reason: 'looks good' }] });
      await handle.result();
      return handle;
    },
  },
  'rollout-rolled-back': {
    world: (world) => world.bad.add(digestOf('bad')),
    async play({ begin }) {
      const plan = planOf({ stages: [stageOf('production', delivered)] });
      await (await begin(plan, 'good')).result();
      const handle = await begin(plan, 'bad');
      await handle.result();
      return handle;
    },
  },
  'rollout-superseded-at-its-approval': {
    async play({ begin, tags }) {
      const plan = planOf({ stages: [stageOf('production', { ...delivered, approval })] });
      tags.set(`${plan.repository}:latest`, digestOf('older'));
      const older = await begin(plan, 'older');
      await until(older, 'waiting');
      tags.set(`${plan.repository}:latest`, digestOf('newer'));
      const newer = await begin(plan, 'newer');
      await older.result();
      await until(newer, 'waiting');
      await newer.executeUpdate('reject', { args: [{ by: 'ann', step: 'approve' }] });
      return older;
    },
  },
  rollback: {
    async play({ begin, temporal }) {
      const plan = planOf({ stages: [stageOf('production', delivered)] });
      for (const word of ['one', 'two']) await (await begin(plan, word)).result();
      const lane = temporal.client.workflow.getHandle(laneId('web'));
      const decision = { stage: 'production', by: 'ann', reason: 'customers complain' };
      const { workflow } = await lane.executeUpdate<{ workflow: string }, [object]>('rollback', { args: [decision] });
      const handle = temporal.client.workflow.getHandle(workflow);
      await eventually('the rollback to end', () => handle.result().catch(() => undefined));
      return handle;
    },
  },
  'lane-steered': {
    async play({ begin, temporal }) {
      const plan = planOf({ stages: [stageOf('production', delivered)] });
      const lane = temporal.client.workflow.getHandle(laneId('web'));
      await (await begin(plan, 'one')).result();
      await lane.executeUpdate('hold', { args: [{ by: 'ann', reason: 'a fair' }] });
      const held = await begin(plan, 'two');
      await until(held, 'waiting');
      await lane.executeUpdate('release', { args: [{ by: 'ann' }] });
      await held.result();
      await lane.executeUpdate('pin', { args: [{ stage: 'production', digest: digestOf('two'), by: 'ann' }] });
      await lane.executeUpdate('quarantine', { args: [{ digest: digestOf('three'), by: 'ann' }] });
      await lane.executeUpdate('unquarantine', { args: [{ digest: digestOf('three'), by: 'ann' }] });
      await lane.executeUpdate('promote', { args: [{ stage: 'production', digest: digestOf('one'), by: 'ann' }] });
      return lane;
    },
  },
  /** Made when builds had no queue of their own yet. */
  build: {
    async play({ temporal }) {
      const handle = await temporal.client.workflow.start('build', buildStartOptions(buildStartOf('web')));
      await handle.result();
      return handle;
    },
  },
  globalHold: {
    async play({ temporal }) {
      const startWorkflowOperation = () => new WithStartWorkflowOperation('globalHold', globalHoldStartOptions());
      for (const update of ['hold', 'release']) {
        const options = { args: [{ by: 'ann' }], startWorkflowOperation: startWorkflowOperation() };
        await temporal.client.workflow.executeUpdateWithStart(update, options);
      }
      return temporal.client.workflow.getHandle(globalHoldId);
    },
  },
  mergeQueue: {
    async play({ begin, temporal }) {
      await (await begin(planOf({ stages: [stageOf('production', delivered)] }), 'merged')).result();
      return temporal.client.workflow.getHandle(mergeQueueId('team/deployment', 'main'));
    },
  },
  notify: {
    activities: (_usual, { client }) => ({ queueNotice: createNotify({ client } as Dependencies).queueNotice }),
    async play({ begin, temporal }) {
      const plan = planOf({ stages: [stageOf('production', delivered)], notify: [told] });
      const rollout = await begin(plan, 'told');
      await rollout.result();
      const handle = temporal.client.workflow.getHandle(notifyId(rollout.workflowId));
      await handle.result();
      return handle;
    },
  },
  lane: {
    async play({ begin, temporal }) {
      for (const word of ['first', 'second', 'first']) await (await begin(planOf(), word)).result();
      return temporal.client.workflow.getHandle(laneId('web'));
    },
  },
  /** One that is limited at first, and knows nothing of a run before. */
  search: {
    activities: () => {
      let calls = 0;
      const known = { service: 'web', follows: 'x', tags: [[imageOf(planOf(), 'found').tag, 'A'.repeat(43)]] as const };
      return {
        searchRegistry: async () => {
          const limitedUntil = new Date(Date.now() + 1_000).toISOString();
          const memory = { services: [known], ...(++calls === 1 && { limitedUntil }) };
          return { memory, found: ['registry.example.test/team/web:latest'], failed: ['registry.example.test/team/other: no'] };
        },
      };
    },
    async play({ temporal }) {
      const start: SearchStart = { registry: 'registry.example.test', everyMs: 60_000 };
      const options = { workflowId: searchId(start.registry), taskQueue: taskQueues.main, args: [start] };
      const handle = await temporal.client.workflow.start('search', options);
      await handle.result();
      return handle;
    },
  },
  resolve: {
    async play({ temporal, tags }) {
      const plan = planOf();
      tags.set(`${plan.repository}:latest`, digestOf('looked up'));
      const { digest: _, ...push } = pushOf(imageOf(plan, 'looked up'));
      await temporal.client.workflow.signalWithStart('resolve', resolveStartOptions({ plan, push }));
      const handle = temporal.client.workflow.getHandle(resolveId('web'));
      await handle.result();
      return handle;
    },
  },
};

async function record(name: string, { activities, world, play }: Scenario): Promise<void> {
  const file = fileURLToPath(new URL(`${name}.json`, import.meta.url));
  if (existsSync(file)) return console.log(`${name}: kept as it is`);
  const temporal = await startTemporal();
  const tags: TagTable = new Map();
  const delivery = fakeDelivery();
  world?.(delivery);
  const usual = { ...fakeActivities(temporal.client, tags), ...delivery.activities };
  const workers = await startWorkers(temporal, { ...usual, ...activities?.(usual, temporal) });
  const handle = await play({
    temporal,
    tags,
    begin: (plan, word) => {
      const image = imageOf(plan, word);
      return temporal.client.workflow.start('rollout', rolloutStartOptions({ plan, image, push: pushOf(image) }));
    },
    untilBlocked: (blocked) =>
      eventually(`${blocked.workflowId} to be blocked`, async () => (await blocked.query(stateQuery)).status === 'blocked'),
  });
  await writeFile(file, await historyOf(temporal, handle.workflowId));
  await workers.stop();
  await temporal.stop();
  console.log(`${name}: recorded`);
}

/** As `temporal workflow show` prints it: the form that replays take. */
async function historyOf({ address }: TestTemporal, workflowId: string): Promise<string> {
  const temporal = findTool('temporal', process.env) ?? 'temporal';
  const { stdout } = await promisify(execFile)(
    temporal,
    ['workflow', 'show', '--address', address, '--workflow-id', workflowId, '--output', 'json'],
    { maxBuffer: 16 * 1024 * 1024 },
  );
  // Stack traces name where this checkout lies, which is nobody's business.
  return stdout.replaceAll(fileURLToPath(new URL('../../', import.meta.url)), '');
}

for (const [name, scenario] of Object.entries(scenarios)) await record(name, scenario);
