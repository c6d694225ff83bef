import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { createEventFeed, type FeedEvent } from '../../src/api/operators/v1/event-feed.ts';
import type { DecisionEntry } from '../../src/domain/audit.ts';
import type { RolloutRow } from '../../src/operations/index.ts';
import { eventually } from '../support/wait.ts';

function rowOf(runId: string, changedAt: string, status = 'running'): RolloutRow {
  return {
    ...{ rollout: `rollout:${runId}`, runId, service: 'web', image: 'i', digest: 'd', status },
    startedAt: changedAt,
    changedAt,
  };
}

const decided: DecisionEntry = {
  ...{
    timestamp: '2026-01-02T03:04:05.000Z',
    event_type: 'decision_made',
    source: 'operator',
    outcome: 'accepted',
    status: 'accepted',
  },
  ...{ services: ['web'], images: [], repositories: [], action: 'hold', by: 'ann', workflow: 'lane:web' },
};

describe('a feed of events', () => {
  /** A feed over rows that a test changes, and how often it asked for them. */
  function feedOf(rows: RolloutRow[]) {
    const asked: string[] = [];
    const changedSince = async (time: string) => {
      asked.push(time);
      return rows.filter(({ changedAt }) => changedAt >= time);
    };
    return { asked, feed: createEventFeed({ changedSince, log: { warn: () => undefined }, pollMs: 5 }) };
  }
  const soon = (ms = 0) => new Date(Date.now() + ms).toISOString();

  it('asks nothing while nobody listens, and one question however many do', async () => {
    const { asked, feed } = feedOf([]);
    feed.heard(decided);
    await setTimeout(20);
    assert.equal(asked.length, 0);
    const ends = Array.from({ length: 100 }, () => feed.listen(() => undefined));
    await eventually('three questions', async () => asked.length >= 3);
    const [first, last] = [asked[0], asked.at(-1)].map((time) => Date.parse(time ?? ''));
    assert.ok(asked.length <= ((last ?? 0) - (first ?? 0)) / 5 + 3, `${asked.length} questions`);
    for (const end of ends) end?.();
    await setTimeout(20);
    const { length } = asked;
    await setTimeout(30);
    assert.equal(asked.length, length);
  });

  it('tells each change once to everybody, and not what was so before', async () => {
    const rows = [rowOf('old', soon())];
    const { feed, asked } = feedOf(rows);
    const heard: FeedEvent[][] = [[], []];
    for (const events of heard) feed.listen((event) => events.push(event));
    await eventually('a first look', async () => asked.length > 0);
    rows.push(rowOf('new', soon()));
    await eventually('the new one', async () => heard.every(({ length }) => length === 1));
    rows.splice(1, 1, rowOf('new', soon(1), 'blocked'));
    await eventually('its change', async () => heard.every(({ length }) => length === 2));
    feed.heard(decided);
    await setTimeout(20);
    for (const events of heard) {
      assert.deepEqual(
        events.map(({ type }) => type),
        ['rollout', 'rollout', 'decision'],
      );
      const ids = events.map(({ id }) => Number(id));
      assert.deepEqual(
        [...ids].sort((one, other) => one - other),
        ids,
      );
    }
    feed.stop();
  });

  it('goes on behind an event, also one of another process', async () => {
    const { feed } = feedOf([rowOf('before', '2026-01-01T00:00:00.000Z'), rowOf('after', '2026-01-03T00:00:00.000Z')]);
    const missed = await feed.since(String(Date.parse('2026-01-02T00:00:00Z')));
    assert.deepEqual(
      missed.map(({ data }) => (data as RolloutRow).runId),
      ['after'],
    );
  });

  it('takes no more than it can tell, and ends with the process', () => {
    const { feed } = feedOf([]);
    for (let count = 0; count < 500; count += 1) assert.ok(feed.listen(() => undefined));
    assert.equal(
      feed.listen(() => undefined),
      undefined,
    );
    let isStopped = false;
    feed.onStop(() => {
      isStopped = true;
    });
    feed.stop();
    assert.deepEqual([isStopped, feed.listen(() => undefined)], [true, undefined]);
  });
});
