import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Configuration } from '../../src/config/configuration.ts';
import { laneStartOptions, rolloutId, rolloutStartOptions, taskQueues } from '../../src/contracts/start-options.ts';
import { hashOfToken, isProofOf } from '../../src/domain/decision-proof.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import type { Decision, RolloutState } from '../../src/domain/rollout-state.ts';
import {
  type Actor,
  Ambiguous,
  auditQuery,
  commandLane,
  decide,
  decisionInput,
  figuresInput,
  findRollout,
  globalHoldInput,
  InvalidConfiguration,
  InvalidInput,
  laneCommandInput,
  NotFound,
  OperationError,
  parseInput,
  planTriggers,
  Refused,
  readConfiguration,
  readRollout,
  rolloutFilter,
  rolloutPrefix,
  showLane,
  temporalTarget,
  trigger,
  triggerInput,
  Unreachable,
} from '../../src/operations/index.ts';
import { answeredEach } from '../../src/operations/temporal-calls.ts';
import { product } from '../../src/product.ts';
import { standInLanes, standInRollouts } from '../cli/stand-ins.ts';
import { startNamespace, type TestNamespace } from '../support/temporal.ts';
import { eventually } from '../support/wait.ts';
import { runWorkers, type TestWorkers } from '../support/worker.ts';

type Kind = new (...values: never[]) => OperationError;

/** It fails with an error of that very kind, whose message matches. */
async function fails(work: () => unknown, kind: Kind, message: RegExp): Promise<OperationError> {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof OperationError, String(error));
    assert.equal(error.name, kind.name, error.message);
    assert.match(error.message, message);
    return error;
  }
  throw new assert.AssertionError({ message: `expected ${kind.name}, and nothing was thrown` });
}

describe('what operations say of a wrong input', () => {
  const whole = { verb: 'retry', rollout: 'app' };
  for (const [what, schema, input, message] of [
    ['a rollout', rolloutPrefix, 'no such id', /beginning of a rollout's id .*, found 'no such id'/],
    [
      'a decision',
      decisionInput,
      { ...whole, verb: 'praise' },
      /expected approve, retry, renew, skip, reject or abort, found 'praise'/,
    ],
    ['a skip', decisionInput, { ...whole, verb: 'skip', reason: ' ' }, /a skip is a waiver and needs a reason/],
    ['a filter', rolloutFilter, { limit: 0 }, /^limit: expected at least 1, found 0$/],
    ['figures', figuresInput, { days: 0 }, /^days: expected at least 1, found 0$/],
    ['a service', laneCommandInput, { verb: 'release', service: 'a b' }, /expected the name of a service, found 'a b'/],
    ['a pin', laneCommandInput, { verb: 'pin', service: 'a', stage: 's', digest: 'd' }, /has to know why/],
    ['a promotion', laneCommandInput, { verb: 'promote', service: 'a', stage: 's' }, /expected text, found nothing/],
    ['a global hold', globalHoldInput, { verb: 'hold' }, /has to know why/],
    ['a trigger', triggerInput, {}, /^image: expected text, found nothing/],
    ['an age', auditQuery, { since: 'yesterday' }, /expected 30m, 24h, 7d or a time .*, found 'yesterday'/],
  ] as const) {
    it(`${what}: what was expected, and what was found`, () => fails(() => parseInput(schema, input), InvalidInput, message));
  }

  it('takes blank reasons for none, and completes the beginning of an id', () => {
    const { rollout, reason } = parseInput(decisionInput, { ...whole, reason: '  ' });
    assert.deepEqual([rollout, reason], ['rollout:app', undefined]);
    assert.equal(parseInput(rolloutPrefix, 'rollback:app'), 'rollback:app');
  });

  it('reads an age as the configuration does', () => {
    const { since = 0 } = parseInput(auditQuery, { since: '90m' });
    assert.ok(Math.abs(Date.now() - 90 * 60_000 - since) < 10_000);
  });
});

describe('what operations say that cannot be done', function () {
  this.timeout(60_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  let folder: string;
  let configuration: Configuration;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-operations-'));
    const file = join(folder, 'landfall.yaml');
    await writeFile(file, 'services: [{ image: ghcr.io/team/app }, { image: ghcr.io/team/web, tags: { semver: ">=1" } }]\n');
    configuration = await readConfiguration(file, { env: {}, loadKinds: async () => product });
    temporal = await startNamespace();
    workers = await runWorkers(temporal, [standInRollouts, standInLanes]);
  });

  after(async () => {
    await workers?.stop();
    await temporal?.stop();
    await rm(folder, { recursive: true });
  });

  const actor: Actor = { name: 'ann' };

  async function startRollout(service: string, taskQueue: string = taskQueues.main): Promise<string> {
    const image = { repository: 'ghcr.io/team/app' as Repository, tag: 'latest' as Tag, digest: digestOf('a') };
    const push = { source: 'test', deliveryId: 'd1', repository: image.repository, tag: image.tag };
    const plan = { service, repository: image.repository, tags: { kind: 'exact', tags: [image.tag] } } as const;
    const start = {
      plan: { ...plan, platforms: [], checks: [], stages: [], decideWithinMs: 1 },
      image,
      push: { ...push, receivedAt: new Date().toISOString() },
    };
    await temporal.client.workflow.start('rollout', { ...rolloutStartOptions(start), taskQueue });
    return rolloutId(service, image);
  }

  const decided = (verb: 'retry' | 'reject' | 'approve', rollout: string, more: object = {}, by = actor) =>
    decide(temporal.client, rollout, parseInput(decisionInput, { verb, rollout, ...more }), by);
  const commanded = (command: object) =>
    commandLane(
      { client: temporal.client, configuration: async () => configuration },
      parseInput(laneCommandInput, command),
      actor,
    );

  it('NotFound: a rollout, a service, a stage or an image that there is not', async () => {
    const never = 'rollout:never:latest:aaaaaaaaaaaa';
    await fails(() => findRollout(temporal.client, 'rollout:never'), NotFound, /no rollout begins with 'never'/);
    await fails(() => readRollout(temporal.client, never), NotFound, /there is no such rollout/);
    await fails(() => decided('retry', never), NotFound, /there is no such rollout/);
    await fails(() => showLane(temporal.client, 'nobody'), NotFound, /nothing of a service 'nobody'/);
    await fails(() => commanded({ verb: 'hold', service: 'apq', reason: 'x' }), NotFound, /no service 'apq'\n.*\n {2}app: /);
    const hold = { verb: 'hold', service: 'app', stage: 'prod', reason: 'x' };
    await fails(() => commanded(hold), NotFound, /app has no stage 'prod': expected one of production/);
    const image = 'ghcr.io/else/app';
    await fails(() => planTriggers(configuration, { image }), NotFound, /no service follows ghcr\.io\/else\/app:latest/);
  });

  it('Ambiguous: the beginning of several ids, with what it may mean', async () => {
    const ids = [await startRollout('twin-a'), await startRollout('twin-b')];
    const error = await eventually('both to be listed', () =>
      findRollout(temporal.client, 'rollout:twin').then(
        () => undefined,
        (error: unknown) => (error instanceof Ambiguous ? error : undefined),
      ),
    );
    assert.deepEqual(error.candidates, ids);
    assert.match(error.message, /beginning of several rollouts; name one of them:\n {2}twin-[ab]:latest:a{12} {2}\w+ since 20/);
  });

  it('Refused: a decision that does not apply, a rollout that has ended, a digest in quarantine', async () => {
    const id = await startRollout('refusing');
    await fails(() => decided('reject', id, { step: 'verify' }), Refused, /^refused: verify does not wait for a decision/);
    await decided('reject', id);
    await temporal.client.workflow.getHandle(id).result();
    await fails(() => decided('retry', id), Refused, /^refusing:latest:a+ has ended: rejected/);
    await commanded({ verb: 'quarantine', service: 'app', digest: digestOf('b') });
    const triggers = planTriggers(configuration, { image: `ghcr.io/team/app@${digestOf('b')}` });
    await fails(() => trigger(temporal.client, triggers, actor), Refused, /is in quarantine since .*landfall unquarantine app/);
    await fails(() => commanded({ verb: 'unquarantine', service: 'app', digest: 'latest' }), Refused, /no digest that is known/);
  });

  it('InvalidInput: what is no image, and a tag that has to be named', async () => {
    await fails(() => planTriggers(configuration, { image: 'UPPER/case' }), InvalidInput, /UPPER/);
    await fails(() => planTriggers(configuration, { image: 'web' }), InvalidInput, /web follows semver >=1: name a tag/);
  });

  it('Unreachable: no Landfall runs from the folder, or no worker answers', async () => {
    await fails(() => temporalTarget(join(folder, 'landfall.yaml'), {}), Unreachable, /does not run from .*data: start it/);
    const orphan = await startRollout('orphan', 'nobody-works-here');
    await temporal.client.workflow.start('lane', { ...laneStartOptions('orphan'), taskQueue: 'nobody-works-here' });
    await Promise.all([
      fails(() => readRollout(temporal.client, orphan), Unreachable, /no worker answered in time: start Landfall/),
      fails(() => showLane(temporal.client, 'orphan'), Unreachable, /no worker answered in time: start Landfall/),
    ]);
  });

  it('Unreachable: a part of a list that does not come in time, but no list for its length', async () => {
    // Of what nobody asks Temporal for here: the time between two rows.
    async function* rows(...afterMs: readonly number[]) {
      for (const ms of afterMs) yield await setTimeout(ms, ms);
    }
    const read = async (...afterMs: readonly number[]) => {
      const found: number[] = [];
      for await (const row of answeredEach(temporal.client, 200, rows(...afterMs))) found.push(row);
      return found;
    };
    const many = Array.from({ length: 20 }, () => 50);
    assert.deepEqual(await read(...many), many);
    await fails(() => read(1, 2_000, 1), Unreachable, /next part of a list within 0\.2 s: ask again, or for fewer/);
  });

  it('InvalidConfiguration: with each problem', async () => {
    const file = join(folder, 'wrong.yaml');
    await writeFile(file, 'services: [{ image: UPPER/case }]\nsevices: []\n');
    const read = () => readConfiguration(file, { env: {}, loadKinds: async () => product });
    const error = await fails(read, InvalidConfiguration, /wrong\.yaml:1.*UPPER/);
    assert.ok(error instanceof InvalidConfiguration && error.problems.length === 2);
  });

  it('an actor with a token signs for this very run; one without only has a name', async () => {
    const tokenHash = await hashOfToken('a token of at least 32 characters: a');
    const sent: Decision[] = [];
    const ids: [id: string, runId: string][] = [];
    for (const [service, by] of [
      ['asking-signed', { ...actor, tokenHash }],
      ['asking-claimed', actor],
    ] as const) {
      const id = await startRollout(service);
      const handle = temporal.client.workflow.getHandle(id);
      const { runId } = await handle.describe();
      assert.deepEqual(await decided('approve', id, {}, by), { digest: digestOf('a') });
      const { reason } = (await handle.result()) as RolloutState;
      sent.push(JSON.parse(reason ?? '') as Decision);
      ids.push([id, runId]);
    }
    const [signed, claimed] = sent;
    const [[rollout, runId] = ['', '']] = ids;
    const { proof = '', ...decision } = signed ?? {};
    assert.ok(await isProofOf(tokenHash, { verb: 'approve', rollout, runId, ...decision, by: 'ann' }, proof));
    assert.deepEqual([claimed?.by, claimed?.proof], ['ann', undefined]);
  });
});

function digestOf(fill: string): Digest {
  return `sha256:${fill.repeat(64)}` as Digest;
}
