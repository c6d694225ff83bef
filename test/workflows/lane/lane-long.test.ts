import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import { defaultPayloadConverter } from '@temporalio/common';
import {
  beginChangeUpdate,
  enterUpdate,
  type LaneStart,
  laneQuery,
  leaveUpdate,
  releaseTurnUpdate,
  requestTurnUpdate,
  runningUpdate,
  verifiedUpdate,
} from '../../../src/contracts/messages.ts';
import { laneId, laneStartOptions } from '../../../src/contracts/start-options.ts';
import type { RolloutRun } from '../../../src/domain/lane/state.ts';
import { exact, rolloutOf, runningOf, someTime } from '../../support/lane-moves.ts';
import { digestOf } from '../../support/plans.ts';
import { standIn, startStandIns } from '../../support/stand-ins.ts';
import { startNamespace, type TestNamespace } from '../../support/temporal.ts';
import type { TestWorkers } from '../../support/worker.ts';

const pushes = 200;
/** Events; usually as many as 2,000 pushes need to continue several times. */
const longestHistory = 900;
const stages = 4;
const stageOf = (number: number): string => `stage-${number % stages}`;

describe('a lane with hundreds of pushes behind it', function () {
  this.timeout(600_000);
  let temporal: TestNamespace;
  let workers: TestWorkers;
  before(async () => {
    temporal = await startNamespace();
    workers = await startStandIns(temporal);
  });
  after(async () => {
    await workers.stop();
    await temporal.stop();
  });

  /**
   * From entering to the change of its stage, said in one breath: whatever overtakes what it depends on is said again, as rollouts do.
   * @returns the rest, which other pushes need not wait for
   */
  async function push(lane: WorkflowHandle, me: RolloutRun, number: number): Promise<() => Promise<unknown>> {
    const word = `push ${number}`;
    const stage = stageOf(number);
    const one = { ...rolloutOf(word, `tag-${number % 40}`), ...me, stage, stages: [stage] };
    for (;;) {
      const [entry, , , answer] = await Promise.all([
        lane.executeUpdate(enterUpdate, { args: [one] }),
        lane.executeUpdate(verifiedUpdate, { args: [{ ...one, policy: exact }] }),
        lane.executeUpdate(requestTurnUpdate, { args: [{ ...me, stage, policy: exact }] }),
        lane.executeUpdate(beginChangeUpdate, { args: [{ ...me, stage }] }),
      ]);
      assert.equal(entry.kind, 'admitted');
      if (answer.kind === 'unknown') continue;
      assert.ok(answer.kind === 'go', JSON.stringify(answer));
      assert.equal(answer.before?.digest, number < stages ? undefined : digestOf(`push ${number - stages}`));
      const running = runningOf(one, word, answer.before);
      return () =>
        Promise.all([
          lane.executeUpdate(runningUpdate, { args: [{ ...me, stage, running }] }),
          lane.executeUpdate(releaseTurnUpdate, { args: [{ ...me, stage, reached: true }] }),
          lane.executeUpdate(leaveUpdate, { args: [{ ...me, end: 'delivered', at: someTime }] }),
        ]);
    }
  }

  async function begin(service: string, longestHistory?: number) {
    const start = { service, ...(longestHistory !== undefined && { longestHistory }) };
    await temporal.client.workflow.start('lane', { ...laneStartOptions(service), args: [start] });
    const names = Array.from({ length: stages }, (_, index) => standIn(temporal, `rollout:${service}:${index}`));
    const members = (await Promise.all(names)).map(({ rollout, runId }) => ({ rollout, runId }));
    return { lane: temporal.client.workflow.getHandle(laneId(service)), members };
  }

  it('continues as new several times, with a short history and its memory as it was', async () => {
    const { lane, members: runs } = await begin('busy', longestHistory);
    const members = runs.map((run) => ({ ...run, rest: Promise.resolve<unknown>(undefined) }));
    for (let number = 0; number < pushes; number += 1) {
      const member = members[number % stages] ?? assert.fail();
      await member.rest;
      const { rollout, runId } = member;
      const rest = await push(lane, { rollout, runId }, number);
      member.rest = rest();
    }
    await Promise.all(members.map(({ rest }) => rest));
    const past = await runsOf(temporal, lane);
    assert.ok(past.length >= 4, `${past.length} runs`);
    for (const { events } of past) assert.ok(events < longestHistory + 200, `${events} events`);
    for (const { runId, handedOn } of past.slice(0, -1)) {
      const remembered = await temporal.client.workflow.getHandle(lane.workflowId, runId).query(laneQuery);
      assert.deepEqual(handedOn?.state, remembered, 'what is handed on is what the run knew at its end');
    }
    for (const [index, { began }] of past.entries()) if (index > 0) assert.deepEqual(began, past[index - 1]?.handedOn);
    const memory = await lane.query(laneQuery);
    assert.deepEqual(memory.members, {});
    assert.equal(Object.keys(memory.stages).length, stages);
    for (const [index, stage] of Object.keys(memory.stages).sort().entries()) {
      const { running, earlier, holder } = memory.stages[stage] ?? {};
      assert.equal(running?.digest, digestOf(`push ${pushes - stages + index}`));
      assert.equal(earlier?.length, 10);
      assert.equal(holder, undefined);
    }
  });

  it('continues as new also where it is never left alone', async () => {
    const { lane, members } = await begin('never-alone', 100);
    const pushAll = async (me: RolloutRun, first: number): Promise<void> => {
      for (let number = first; number < 40; number += stages) await (await push(lane, me, number))();
    };
    await Promise.all(members.map(pushAll));
    const past = await runsOf(temporal, lane);
    for (const { events } of past) assert.ok(events < 250, `${past.map((run) => run.events).join(', ')} events`);
    assert.deepEqual((await lane.query(laneQuery)).members, {});
  });
});

/** The runs of a lane, oldest first: what each began with, and what it handed on. */
async function runsOf({ client }: TestNamespace, lane: WorkflowHandle) {
  const runs: { runId: string; events: number; began?: LaneStart; handedOn?: LaneStart }[] = [];
  let runId: string | undefined = (await lane.describe()).runId;
  while (runId) {
    const events: HistoryEvents = (await client.workflow.getHandle(lane.workflowId, runId).fetchHistory()).events;
    const started: Started = events?.[0]?.workflowExecutionStartedEventAttributes;
    const began = startOf(started?.input);
    const handedOn = startOf(events?.at(-1)?.workflowExecutionContinuedAsNewEventAttributes?.input);
    runs.unshift({ runId, events: events?.length ?? 0, ...(began && { began }), ...(handedOn && { handedOn }) });
    runId = started?.continuedExecutionRunId ?? undefined;
  }
  return runs;
}

type HistoryEvents = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events'];
type Started = NonNullable<HistoryEvents>[number]['workflowExecutionStartedEventAttributes'];
type Payload = Parameters<typeof defaultPayloadConverter.fromPayload>[0];

function startOf(input: { payloads?: Payload[] | null } | null | undefined): LaneStart | undefined {
  const payload = input?.payloads?.[0];
  return payload == null ? undefined : defaultPayloadConverter.fromPayload<LaneStart>(payload);
}
