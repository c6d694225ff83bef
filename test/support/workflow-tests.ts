import assert from 'node:assert/strict';
import { Context } from '@temporalio/activity';
import { type Client, type WorkflowHandle, WorkflowNotFoundError, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { WorkerOptions } from '@temporalio/worker';
import type { Activities } from '../../src/contracts/activities/index.ts';
import { laneQuery, type RolloutStart, stateQuery } from '../../src/contracts/messages.ts';
import { globalHoldId, laneId, rolloutStartOptions, searchAttributes } from '../../src/contracts/start-options.ts';
import type { LaneState } from '../../src/domain/lane/state.ts';
import type { Plan } from '../../src/domain/plan.ts';
import type { RolloutState, RolloutStatus } from '../../src/domain/rollout-state.ts';
import { isUnanswered } from '../../src/operations/temporal-calls.ts';
import { fakeActivities, type TagTable } from './fake-activities.ts';
import { fakeDelivery } from './fake-delivery.ts';
import { digestOf, imageOf, planOf, pushOf } from './plans.ts';
import { startNamespace, type TestNamespace } from './temporal.ts';
import { eventually } from './wait.ts';
import { startWorkers, type TestWorkers } from './worker.ts';

type Calls = ReadonlyMap<string, (input: unknown) => Promise<unknown>>;
type Settings = Pick<WorkerOptions, 'maxCachedWorkflows' | 'maxConcurrentActivityTaskExecutions' | 'sinks'>;

/** What a test answers for its services. Nothing before it says so with `work`, and nothing once it is over. */
interface Answers {
  calls?: Calls;
}

/**
 * What the tests of one file share, for whoever tests rollouts and their lanes as they are: a namespace of Temporal, Workers of all task
 * queues, a registry that is a table, and how one pushes, asks and decides. Call it inside of `describe`. Every test has services of its
 * own (`aPlan`) and says with `work` what their activities do; a call for a service of an earlier test, or of none, fails.
 * @param prefix what the names of services begin with
 * @param usual how Workers are, unless `work` is told otherwise
 */
export function workflowTests(prefix: string, usual: Settings = {}) {
  let namespace: TestNamespace | undefined;
  const here = (): TestNamespace => namespace ?? assert.fail('there is no Temporal before the first test');
  const shared = sharedWorkers(here);
  const temporal = {
    get client(): Client {
      return here().client;
    },
    get namespace(): string {
      return here().namespace;
    },
    get address(): string {
      return here().address;
    },
  };
  const tags: TagTable = new Map();
  const world = fakeDelivery();
  const { services, unanswered } = shared;
  let answers: Answers = {};
  let count = 0;

  before(async () => {
    namespace = await startNamespace();
  });
  beforeEach(() => {
    answers = {};
    world.forget();
  });
  afterEach(async () => {
    delete answers.calls;
    await terminateAll(temporal.client);
    assert.deepEqual(unanswered.splice(0), [], 'no test said what these do');
  });
  after(async () => {
    await shared.stop();
    await namespace?.stop();
  });

  const activities = (overrides: Partial<Activities> = {}): Activities =>
    fakeActivities(temporal.client, tags, { ...world.activities, ...overrides });
  const start = (plan: Plan, word: string, { tag = 'latest', ...more }: Partial<RolloutStart> & { tag?: string } = {}) => {
    const image = imageOf(plan, word, tag);
    const options = rolloutStartOptions({ plan, image, push: pushOf(image), ...more });
    return temporal.client.workflow.start('rollout', options);
  };
  const when = (handle: WorkflowHandle, what: string, holds: (state: RolloutState) => boolean): Promise<RolloutState> =>
    eventually(`${handle.workflowId} ${what}`, async () => {
      const state: RolloutState | undefined = await handle.query(stateQuery).catch((error: unknown) => {
        // The worker has its hands full.
        if (!isUnanswered(error)) throw error;
        return undefined;
      });
      return state !== undefined && holds(state) && state;
    });
  const laneOf = (plan: Plan): WorkflowHandle => temporal.client.workflow.getHandle(laneId(plan.service));

  return {
    temporal,
    tags,
    world,
    unanswered,
    activities,
    /** A plan of a service that no other test has. */
    aPlan(overrides: Partial<Plan> = {}): Plan {
      const service = `${prefix}-${++count}`;
      services.set(service, answers);
      return planOf({ service, ...overrides });
    },
    /** From here on the services of this test are answered by these, and by the usual fakes for what is not overridden. */
    async work(overrides: Partial<Activities> = {}, settings: Settings = usual): Promise<void> {
      answers.calls = callsOf(activities(overrides));
      await shared.run(settings);
    },
    /** Until `work` is called again, nothing goes on. */
    stopWorkers: shared.stop,
    /** Starts a rollout as a webhook does, whatever the registry says. */
    start,
    /** The tag points to an image now, and its rollout is started. */
    push(plan: Plan, word: string, more: Partial<RolloutStart> = {}): Promise<WorkflowHandle> {
      tags.set(`${plan.repository}:latest`, digestOf(word));
      return start(plan, word, more);
    },
    result: (handle: WorkflowHandle): Promise<RolloutState> => handle.result(),
    when,
    until: (handle: WorkflowHandle, wanted: RolloutStatus): Promise<RolloutState> =>
      when(handle, `to be ${wanted}`, ({ status }) => status === wanted),
    /**
     * The same, by the column that lists show. Where the cache is off, or a local activity is under way, it is this that is to be waited for: for
     * a query that comes late Temporal's Core gives the run's task up. That is done again after 10 s, but not at all where the cache is off.
     */
    async reached(handle: WorkflowHandle, wanted: RolloutStatus): Promise<void> {
      await eventually(`${handle.workflowId} to be listed as ${wanted}`, async () => {
        const { typedSearchAttributes } = await handle.describe();
        return typedSearchAttributes.get(searchAttributes.status) === wanted;
      });
    },
    say: <Answer>(handle: WorkflowHandle, verb: string, decision: object): Promise<Answer> =>
      handle.executeUpdate<Answer, [object]>(verb, { args: [decision] }),
    refused: (saying: Promise<unknown>, why: RegExp): Promise<void> =>
      assert.rejects(saying, (error: unknown) => {
        assert.ok(error instanceof WorkflowUpdateFailedError, String(error));
        assert.match(String(error.cause?.message), why);
        return true;
      }),
    laneOf,
    laneState: (plan: Plan): Promise<LaneState> => laneOf(plan).query(laneQuery),
  };
}

/** Workers that go on from test to test, until a test needs other ones. */
function sharedWorkers(namespace: () => TestNamespace) {
  const services = new Map<string, Answers>();
  const unanswered: string[] = [];
  let running: { readonly workers: TestWorkers; readonly settings: Settings } | undefined;
  const stop = async (): Promise<void> => {
    const stopping = running;
    running = undefined;
    await stopping?.workers.stop();
  };
  const callOf = (name: string, shared: Calls) => {
    const id = Context.current().info.workflowExecution?.workflowId ?? '';
    const service = id.split(':').find((part) => services.has(part));
    const isShared = service === undefined && (id === globalHoldId || id.startsWith('merge:'));
    const call = (isShared ? shared : services.get(service ?? '')?.calls)?.get(name);
    if (call !== undefined) return call;
    if (service === undefined) unanswered.push(`${name} of ${id}`);
    throw ApplicationFailure.nonRetryable(`nobody answers ${name} of ${id}`, 'NoFakes');
  };
  return {
    services,
    /** Calls for services that no test has. */
    unanswered,
    stop,
    async run(settings: Settings): Promise<void> {
      const keys = ['maxCachedWorkflows', 'maxConcurrentActivityTaskExecutions', 'sinks'] as const;
      if (running !== undefined && keys.every((key) => running?.settings[key] === settings[key])) return;
      await stop();
      const { client } = namespace();
      // What line and merge queues ask of Temporal is the same for every test.
      const shared = callsOf(fakeActivities(client, new Map()));
      const delegate = (name: string) => [name, async (input: unknown) => await callOf(name, shared)(input)] as const;
      const delegates = Object.fromEntries([...shared.keys()].map(delegate));
      running = { workers: await startWorkers(namespace(), delegates, settings), settings };
    },
  };
}

function callsOf(activities: Activities): Calls {
  return new Map(Object.entries(activities));
}

/** What a test left behind would go on in the next one: a merge that is under way keeps others from merging. */
export async function terminateAll(client: Client): Promise<void> {
  for await (const { workflowId } of client.workflow.list({ query: `ExecutionStatus = 'Running'` })) {
    // Whichever run of it: it may have continued as new since it was listed.
    await client.workflow
      .getHandle(workflowId)
      .terminate('its test is over')
      .catch((error: unknown) => {
        if (!(error instanceof WorkflowNotFoundError)) throw error;
      });
  }
}
