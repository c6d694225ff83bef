import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import Koa from 'koa';
import { createEventFeed, type EventFeed, type FeedEvent } from '../../src/api/operators/v1/event-feed.ts';
import { recordRoutes } from '../../src/api/operators/v1/record.ts';
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

/** A feed over rows that a test changes, and how often it asked for them. */
function feedOf(rows: RolloutRow[], now?: () => number) {
  const asked: string[] = [];
  const state = { isAway: false, isCut: false };
  const changedSince = async (time: string) => {
    asked.push(time);
    if (state.isAway) throw new Error('Temporal is away');
    return { rows: rows.filter(({ changedAt }) => changedAt >= time), isCut: state.isCut };
  };
  const log = { warn: () => undefined };
  return { asked, state, feed: createEventFeed({ changedSince, log, pollMs: 5, ...(now && { now }) }) };
}

/** What somebody is told. @returns also what ends it */
async function listenTo(feed: EventFeed, lastId?: string) {
  const events: FeedEvent[] = [];
  const end = await feed.listen({ told: (event) => void events.push(event), ended: () => undefined }, lastId);
  assert.ok(end);
  return { events, end };
}

/** Of rollouts their runs, of others their type. */
function namesOf(events: readonly FeedEvent[]): string[] {
  return events.map((event) => (event.type === 'rollout' ? event.data.runId : event.type));
}

function assertRising(events: readonly FeedEvent[], from = 0): void {
  const ids = [from, ...events.map(({ id }) => Number(id))];
  assert.ok(
    ids.slice(1).every((id, index) => id > (ids[index] ?? 0)),
    ids.join(' '),
  );
}

const soon = (ms = 0) => new Date(Date.now() + ms).toISOString();

describe('a feed of events', () => {
  it('asks nothing while nobody listens, and one question however many do', async () => {
    const { asked, feed } = feedOf([]);
    feed.heard(decided);
    await setTimeout(20);
    assert.equal(asked.length, 0);
    const listening = await Promise.all(Array.from({ length: 100 }, () => listenTo(feed)));
    await eventually('three questions', async () => asked.length >= 3);
    const [first, last] = [asked[0], asked.at(-1)].map((time) => Date.parse(time ?? ''));
    assert.ok(asked.length <= ((last ?? 0) - (first ?? 0)) / 5 + 3, `${asked.length} questions`);
    for (const { end } of listening) end();
    await setTimeout(20);
    const { length } = asked;
    await setTimeout(30);
    assert.equal(asked.length, length);
  });

  it('tells each change once to everybody, and not what was so before', async () => {
    const rows = [rowOf('old', soon(-60_000))];
    const { feed, asked } = feedOf(rows);
    const heard = (await Promise.all([listenTo(feed), listenTo(feed)])).map(({ events }) => events);
    await eventually('a first look', async () => asked.length > 0);
    rows.push(rowOf('new', soon()));
    await eventually('the new one', async () => heard.every(({ length }) => length === 1));
    rows.splice(1, 1, rowOf('new', soon(1), 'blocked'));
    await eventually('its change', async () => heard.every(({ length }) => length === 2));
    feed.heard(decided);
    await setTimeout(20);
    for (const events of heard) {
      assert.deepEqual(namesOf(events), ['new', 'new', 'decision']);
      assertRising(events);
    }
    feed.stop();
  });

  it('goes on behind an event, also one of another process', async () => {
    const { feed } = feedOf([rowOf('before', '2026-01-01T00:00:00.000Z'), rowOf('after', '2026-01-03T00:00:00.000Z')]);
    const { events } = await listenTo(feed, String(Date.parse('2026-01-02T00:00:00Z')));
    assert.deepEqual(namesOf(events), ['after']);
    feed.stop();
  });

  it('goes on with what changed before that event and was seen after it, and with decisions that nobody heard', async () => {
    const rows: RolloutRow[] = [];
    const { feed } = feedOf(rows);
    const { events, end } = await listenTo(feed);
    const changed = soon();
    await setTimeout(5);
    rows.push(rowOf('A', soon()));
    await eventually('it to be told', async () => events.length === 1);
    end();
    // Lists lag behind: it changed before the other.
    rows.push(rowOf('B', changed));
    feed.heard(decided);
    const { id = '' } = events[0] ?? {};
    const later = await listenTo(feed, id);
    assert.deepEqual(namesOf(later.events).sort(), ['A', 'B', 'decision']);
    rows.push(rowOf('C', soon()));
    await eventually('what is new', async () => namesOf(later.events).includes('C'));
    assertRising(later.events, Number(id));
    feed.stop();
  });

  it('tells what has changed while Temporal was away', async () => {
    const rows: RolloutRow[] = [];
    const { asked, feed, state } = feedOf(rows);
    state.isAway = true;
    const { events } = await listenTo(feed);
    await eventually('a first look', async () => asked.length > 0);
    rows.push(rowOf('meanwhile', soon()));
    state.isAway = false;
    await eventually('it to be told', async () => namesOf(events).includes('meanwhile'));
    feed.stop();
  });

  it('says where more has changed than it tells', async () => {
    const { feed, state } = feedOf([rowOf('one', soon())]);
    state.isCut = true;
    const { events } = await listenTo(feed, String(Date.now() - 60_000));
    assert.deepEqual(namesOf(events).slice(0, 2), ['resync', 'one']);
    await eventually('it to be said of what is new, too', async () => events.slice(2).some(({ type }) => type === 'resync'));
    assertRising(events);
    feed.stop();
  });

  it('asks Temporal for no time that is none, whatever id somebody has', async () => {
    const { asked, feed } = feedOf([]);
    for (const id of ['999999999999999.999', '0']) await listenTo(feed, id);
    for (const time of asked) assert.ok(/^(?:1970|20\d\d)-/.test(time), time);
    feed.stop();
  });

  it('takes no more than it can tell, and ends with the process', async () => {
    const { feed } = feedOf([]);
    let ended = 0;
    const listener = {
      told: () => undefined,
      ended: () => {
        ended += 1;
      },
    };
    for (let count = 0; count < 500; count += 1) assert.ok(await feed.listen({ ...listener }));
    assert.equal(await feed.listen({ ...listener }), undefined);
    feed.stop();
    assert.deepEqual([ended, feed.listening, await feed.listen(listener)], [500, 0, undefined]);
  });
});

describe('a stream of events', () => {
  /** The API's route, behind a listener of its own. */
  async function serve(feed: EventFeed) {
    const route = recordRoutes.find(({ id }) => id === 'events');
    const app = new Koa();
    app.silent = true;
    app.use(async (context) => {
      context.body = await route?.handle({ context } as never, { feed } as never);
    });
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const stop = async () => {
      feed.stop();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
    return { url, stop };
  }
  const withId = { headers: { 'Last-Event-ID': String(Date.now()) } };

  it('takes no place where Temporal does not tell what was missed', async () => {
    const { feed, state } = feedOf([]);
    const { url, stop } = await serve(feed);
    state.isAway = true;
    for (let count = 0; count < 20; count += 1) assert.equal((await fetch(url, withId)).status, 500);
    assert.equal(feed.listening, 0);
    await stop();
  });

  it('gives its place back when it is left, also before it has begun', async () => {
    const gate = Promise.withResolvers<{ rows: []; isCut: false }>();
    let asked = 0;
    const changedSince = () => {
      asked += 1;
      return gate.promise;
    };
    const feed = createEventFeed({ changedSince, log: { warn: () => undefined }, pollMs: 5 });
    const { url, stop } = await serve(feed);
    const controller = new AbortController();
    const left = fetch(url, { ...withId, signal: controller.signal });
    await eventually('the question', async () => asked === 1);
    controller.abort();
    await assert.rejects(left);
    gate.resolve({ rows: [], isCut: false });
    assert.equal((await fetch(url, { method: 'HEAD' })).status, 200);
    await eventually('both to be gone', async () => feed.listening === 0 && asked > 1);
    await stop();
  });

  it('ends with the process', async () => {
    const { feed } = feedOf([]);
    const { url, stop } = await serve(feed);
    const response = await fetch(url);
    await eventually('it to listen', async () => feed.listening === 1);
    feed.stop();
    assert.equal(await response.text(), 'retry: 2000\n\n');
    await stop();
  });
});
