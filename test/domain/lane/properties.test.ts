import assert from 'node:assert/strict';
import fc from 'fast-check';
import { freeFromQuarantine, hold, pin, putInQuarantine, releaseHold } from '../../../src/domain/lane/decisions.ts';
import { enter, verified } from '../../../src/domain/lane/members.ts';
import { begin, ran } from '../../../src/domain/lane/stages.ts';
import { emptyLane, type LaneState } from '../../../src/domain/lane/state.ts';
import { forget, release, request } from '../../../src/domain/lane/turns.ts';
import type { End } from '../../../src/domain/rollout-state.ts';
import type { TagPolicy } from '../../../src/domain/tag-policy.ts';
import { end, exact, type LaneRollout, rolloutOf, runningOf, someTime, stage, undo } from '../../support/lane-moves.ts';

const semver: TagPolicy = { kind: 'semver', range: '*' };
const words = ['a', 'b', 'c', 'd'];
const said = { by: 'ann', at: someTime };

/** What each rollout was told, and what must stay so. */
class Watcher {
  lane: LaneState = emptyLane();
  readonly runs = new Map<string, LaneRollout>();
  readonly begun = new Set<string>();
  readonly #policy: TagPolicy;
  #count = 0;

  constructor(policy: TagPolicy) {
    this.#policy = policy;
  }

  /** The run of a word that is under way, or a new one. */
  of(word: string): LaneRollout {
    const tag = this.#policy === semver ? `1.${words.indexOf(word)}.0` : 'latest';
    return this.runs.get(word) ?? { ...rolloutOf(word, tag), runId: `run ${++this.#count}` };
  }

  back(word: string): LaneRollout {
    const key = `back ${word}`;
    const known = this.runs.get(key) ?? { ...this.of(word), rollout: `rollback:${word}`, runId: `run ${++this.#count}` };
    this.runs.set(key, known);
    return known;
  }

  ask(one: LaneRollout, rollback?: Pick<LaneRollout, 'tag' | 'digest'>): void {
    const { lane } = this;
    const { answer, superseded } = request(lane, { ...one, policy: this.#policy, ...(rollback && { rollback }) });
    for (const other of superseded) {
      assert.ok(!this.begun.has(other), 'superseded after it had begun');
      assert.ok(!other.startsWith('rollback:'), 'a rollback was superseded');
    }
    const isQuarantined = lane.quarantine[one.digest] !== undefined;
    if (answer.kind === 'granted' && isQuarantined && !rollback)
      assert.ok(this.begun.has(one.rollout), 'a quarantined digest got a turn');
    if (this.begun.has(one.rollout)) assert.equal(answer.kind, 'granted', 'lost its turn after it had begun');
  }

  begin(one: LaneRollout): void {
    const { lane, begun } = this;
    const of = lane.stages[stage];
    const isHolder = of?.holder === one.rollout && lane.members[one.rollout]?.runId === one.runId;
    const isPinned = of?.pin !== undefined && of.pin.digest !== one.digest;
    const isHeld = (lane.hold ?? of?.hold) !== undefined || isPinned;
    const isBack = one.rollout.startsWith('rollback:');
    const { kind } = begin(lane, one);
    if (!isHolder) assert.equal(kind, 'unknown');
    else if (begun.has(one.rollout) || isBack) assert.equal(kind, 'go', 'held back though it had begun, or undoes something');
    else if (isHeld) assert.notEqual(kind, 'go', 'begun though it is held');
    if (kind === 'go') begun.add(one.rollout);
  }

  gone(one: LaneRollout, key: string): void {
    this.begun.delete(one.rollout);
    this.runs.delete(key);
  }

  check(lastTurn: number): number {
    this.lane = JSON.parse(JSON.stringify(this.lane));
    const { holder, waiters = [], turn = 0, begun } = this.lane.stages[stage] ?? {};
    assert.ok(turn >= lastTurn, 'a turn number went back');
    if (holder === undefined) assert.deepEqual(waiters, []);
    assert.equal(new Set([...waiters, holder]).size, waiters.length + 1, 'one stands there twice');
    for (const rollout of [...waiters, ...(holder === undefined ? [] : [holder])]) {
      assert.ok(rollout in this.lane.members, 'nobody stands there');
    }
    const holders = [...this.begun];
    assert.ok(holders.length <= 1, 'two have begun');
    if (holders[0] !== undefined) assert.equal(holder, holders[0], 'somebody else holds a turn that has begun');
    if (begun) assert.ok(holder !== undefined);
    return turn;
  }
}

interface Played {
  readonly watcher: Watcher;
  readonly lane: LaneState;
  readonly one: LaneRollout;
  readonly word: string;
  readonly how: End;
  readonly policy: TagPolicy;
}

const plays = {
  enter({ watcher, lane, one, word }) {
    if (enter(lane, one).answer.kind === 'admitted') watcher.runs.set(word, one);
  },
  verified: ({ lane, one, policy }) => verified(lane, { ...one, policy }),
  request: ({ watcher, one }) => watcher.ask(one),
  begin: ({ watcher, one }) => watcher.begin(one),
  ran: ({ lane, one, word }) => ran(lane, { ...one, running: runningOf(one, word) }),
  rolledBack: ({ lane, one }) => undo(lane, one),
  release({ watcher, lane, one, word }) {
    if (watcher.runs.has(word)) watcher.begun.delete(one.rollout);
    release(lane, { ...one, reached: true });
  },
  leave({ watcher, lane, one, word, how }) {
    end(lane, one, how);
    watcher.gone(one, word);
  },
  die({ watcher, lane, one, word }) {
    forget(lane, one.rollout);
    watcher.gone(one, word);
  },
  hold: ({ lane, how }) => hold(lane, how === 'delivered' ? undefined : stage, said),
  pin: ({ lane, one }) => pin(lane, stage, one.digest, said),
  free: ({ lane }) => releaseHold(lane, undefined),
  quarantine: ({ lane, one }) => putInQuarantine(lane, one.digest, said),
  unquarantine: ({ lane, one }) => freeFromQuarantine(lane, one.digest),
  back: ({ watcher, one, word }) => watcher.ask(watcher.back(word), one),
  beginBack: ({ watcher, word }) => watcher.begin(watcher.back(word)),
  backRan: ({ watcher, lane, word }) => undo(lane, watcher.back(word)),
  backLeaves({ watcher, lane, word, how }) {
    const back = watcher.back(word);
    end(lane, back, how);
    watcher.gone(back, `back ${word}`);
  },
} satisfies Record<string, (played: Played) => unknown>;

const move = fc.record({
  word: fc.constantFrom(...words),
  what: fc.constantFrom(...(Object.keys(plays) as (keyof typeof plays)[])),
  how: fc.constantFrom<End>('delivered', 'superseded', 'expired', 'rolled-back'),
});
type Move = typeof move extends fc.Arbitrary<infer Moved> ? Moved : never;

function play(watcher: Watcher, { word, what, how }: Move, policy: TagPolicy): void {
  plays[what]({ watcher, lane: watcher.lane, one: watcher.of(word), word, how, policy });
}

describe('the rules of a lane, whatever happens in which order', () => {
  it('give a stage to one, supersede nobody who has begun, grant no quarantined digest, and hold back all but rollbacks', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 80 }), fc.constantFrom(exact, semver), (moves, policy) => {
        const watcher = new Watcher(policy);
        let lastTurn = 0;
        for (const one of moves) {
          play(watcher, one, policy);
          lastTurn = watcher.check(lastTurn);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  it('answer alike when anything is said twice', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), fc.constantFrom(exact, semver), (moves, policy) => {
        const watcher = new Watcher(policy);
        for (const one of moves) {
          play(watcher, one, policy);
          if (['leave', 'die', 'backLeaves'].includes(one.what)) continue;
          const once = JSON.parse(JSON.stringify(watcher.lane));
          play(watcher, one, policy);
          assert.deepEqual(JSON.parse(JSON.stringify(watcher.lane)), once, one.what);
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
