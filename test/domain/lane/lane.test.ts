import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Tag } from '../../../src/domain/image-reference.ts';
import { enter, leave, verified } from '../../../src/domain/lane/members.ts';
import { emptyLane, type LaneState } from '../../../src/domain/lane/state.ts';
import { forget, release, request, someoneWaits } from '../../../src/domain/lane/turns.ts';
import type { End } from '../../../src/domain/rollout-state.ts';
import type { TagPolicy } from '../../../src/domain/tag-policy.ts';
import { digestOf } from '../../support/plans.ts';

const exact: TagPolicy = { kind: 'exact', tags: ['latest'] as Tag[] };
const semver: TagPolicy = { kind: 'semver', range: '*' };
const stage = 'production';

/** A rollout of a word, as the lane sees it. */
function of(word: string, tag = 'latest', manual = false) {
  const rollout = `rollout:web:${tag}:${word}`;
  return { rollout, runId: `run of ${rollout}`, tag: tag as Tag, digest: digestOf(word), manual, stages: [stage], stage };
}
type Rollout = ReturnType<typeof of>;

function end(lane: LaneState, rollout: Rollout, how: End, quarantinedBy?: string) {
  return leave(lane, { ...rollout, end: how, at: '2026-01-01T00:00:00Z', ...(quarantinedBy !== undefined && { quarantinedBy }) });
}

/** Enters, is verified, and asks for its turn. */
function come(lane: LaneState, policy: TagPolicy, rollout: Rollout) {
  assert.equal(enter(lane, rollout).answer.kind, 'admitted');
  verified(lane, { ...rollout, policy });
  return request(lane, { ...rollout, policy }).answer;
}

describe('the rules of a lane', () => {
  it('give the turn to one, and to the next when that one has left', () => {
    const lane = emptyLane();
    const [a, b] = [of('a'), of('b')];
    assert.equal(come(lane, exact, a).kind, 'granted');
    assert.deepEqual(come(lane, exact, b), { kind: 'waiting', behind: a.rollout });
    assert.ok(someoneWaits(lane));
    assert.deepEqual(
      end(lane, a, 'proposed').map(({ rollout }) => rollout),
      [b.rollout],
    );
    assert.ok(!someoneWaits(lane));
  });

  it('tell a rollout at once which later one goes first: one that is verified, or that has asked for every turn', () => {
    const lane = emptyLane();
    const said = (rollout: Rollout) => {
      enter(lane, rollout);
      return verified(lane, { ...rollout, policy: semver }).answer;
    };
    const [first, second, third, fourth] = ['1.0.1', '1.0.2', '1.0.3', '1.0.4'].map((tag) => of(tag, tag));
    assert.ok(first && second && third && fourth);
    assert.deepEqual(said(third), { kind: 'admitted' });
    assert.deepEqual(said(first), { kind: 'admitted', supersededBy: third.rollout });
    assert.deepEqual(said(of('1.0.0', '1.0.0', true)), { kind: 'admitted' }, 'an operator asked for it');
    request(lane, { ...third, policy: semver });
    end(lane, third, 'proposed');
    assert.deepEqual(said(second), { kind: 'admitted', supersededBy: third.rollout });
    assert.deepEqual(said(fourth), { kind: 'admitted' });
    const twoStages = { ...of('1.0.2', '1.0.2', false), rollout: 'again', stages: [stage, 'canary'] };
    end(lane, fourth, 'rejected');
    assert.deepEqual(said(twoStages), { kind: 'admitted' }, 'there is a stage that nothing later has asked for');
  });

  it('answer a repeated question alike', () => {
    const lane = emptyLane();
    const [a, b] = [of('a'), of('b')];
    const first = come(lane, exact, a);
    assert.deepEqual(come(lane, exact, a), first);
    const waiting = come(lane, exact, b);
    assert.deepEqual(come(lane, exact, b), waiting);
    end(lane, a, 'proposed');
    assert.deepEqual(end(lane, a, 'proposed'), []);
  });

  it('take no word from an earlier run of a rollout', () => {
    const lane = emptyLane();
    const a = of('a');
    come(lane, exact, a);
    assert.deepEqual(leave(lane, { ...a, runId: 'earlier', end: 'aborted', at: '' }), []);
    assert.deepEqual(release(lane, { ...a, runId: 'earlier', reached: true }), []);
    assert.equal(lane.stages[stage]?.holder, a.rollout);
  });

  it('hand on the turn of a run that died, when the same rollout comes anew', () => {
    const lane = emptyLane();
    const [a, b] = [of('a'), of('b')];
    come(lane, exact, a);
    come(lane, exact, b);
    const { answer, grants } = enter(lane, { ...a, runId: 'second' });
    assert.equal(answer.kind, 'admitted');
    assert.deepEqual(
      grants.map(({ rollout }) => rollout),
      [b.rollout],
    );
  });

  it('refuse a lesser version once a greater one has manual, and forget it when that one did not get there', () => {
    const lane = emptyLane();
    const [greater, lesser] = [of('greater', '1.10.0'), of('lesser', '1.9.0')];
    come(lane, semver, greater);
    assert.deepEqual(come(lane, semver, lesser), { kind: 'superseded', by: greater.rollout });
    end(lane, lesser, 'superseded');
    end(lane, greater, 'expired');
    assert.equal(enter(lane, { ...lesser, runId: 'second' }).answer.kind, 'unchanged', 'superseded by another tag is a verdict');
    assert.equal(come(lane, semver, of('other', '1.9.1')).kind, 'granted');
  });

  it('let an operator go back to a lesser version', () => {
    const lane = emptyLane();
    const [greater, lesser] = [of('greater', '1.10.0'), of('lesser', '1.9.0', true)];
    come(lane, semver, greater);
    end(lane, greater, 'proposed');
    assert.equal(come(lane, semver, lesser).kind, 'granted');
  });

  it('let a promotion say nothing about its tag: what the tag is stays known, and no check is given up for it', () => {
    const lane = emptyLane();
    const [early, late, checked] = [of('early'), of('late'), of('checked')];
    for (const one of [early, late]) {
      come(lane, exact, one);
      end(lane, one, 'delivered');
    }
    enter(lane, checked);
    const promotion = { ...early, runId: 'promotion', manual: true };
    enter(lane, promotion);
    assert.deepEqual(verified(lane, { ...promotion, policy: exact, promotion: true }).superseded, []);
    assert.equal(lane.newest.latest, late.digest);
    request(lane, { ...promotion, policy: exact });
    end(lane, promotion, 'delivered');
    assert.equal(enter(lane, { ...late, runId: 'redelivered' }).answer.kind, 'unchanged');
  });

  it('do not let a push come again that a promotion superseded in its stage', () => {
    const lane = emptyLane();
    const [early, late] = [of('early'), of('late')];
    come(lane, exact, early);
    end(lane, early, 'delivered');
    come(lane, exact, late);
    const promotion = { ...early, runId: 'promotion', manual: true };
    enter(lane, promotion);
    verified(lane, { ...promotion, policy: exact, promotion: true });
    assert.deepEqual(request(lane, { ...promotion, policy: exact }).superseded, [late.rollout]);
    end(lane, late, 'superseded');
    assert.equal(enter(lane, { ...late, runId: 'again' }).answer.kind, 'unchanged');
    assert.equal(come(lane, exact, of('newer')).kind, 'waiting');
  });

  describe('where an operator names a digest', () => {
    const named = { ...of('named'), manual: true };
    /** The tag points to `current`, and the operator names `named`. */
    const order = (lane: LaneState): void => {
      enter(lane, named);
      verified(lane, { ...named, policy: exact, instead: digestOf('current') });
    };

    it('let what its tag points to be settled once it has gone out, until something else is pushed', () => {
      const lane = emptyLane();
      order(lane);
      assert.equal(request(lane, { ...named, policy: exact }).answer.kind, 'granted');
      end(lane, named, 'delivered');
      const { answer } = enter(lane, of('current'));
      assert.ok(answer.kind === 'unchanged', JSON.stringify(answer));
      assert.match(answer.reason, /an operator named sha256:\w+ in its place/);
      assert.equal(enter(lane, { ...of('current'), manual: true }).answer.kind, 'admitted', 'whoever asks gets it');
      assert.equal(come(lane, exact, of('pushed later')).kind, 'granted');
    });

    it('let it go before what its tag points to, whichever is verified first', () => {
      for (const first of ['current', 'named']) {
        const lane = emptyLane();
        const current = of('current');
        enter(lane, current);
        if (first === 'current') verified(lane, { ...current, policy: exact });
        order(lane);
        if (first === 'named') verified(lane, { ...current, policy: exact });
        assert.equal(request(lane, { ...named, policy: exact }).answer.kind, 'granted');
        assert.deepEqual(request(lane, { ...current, policy: exact }).answer, { kind: 'superseded', by: named.rollout });
        end(lane, current, 'superseded');
        assert.equal(enter(lane, current).answer.kind, 'unchanged', 'it does not come again');
        end(lane, named, 'delivered');
        assert.equal(enter(lane, current).answer.kind, 'unchanged');
      }
    });

    it('let what went after it come again where nothing came of the order', () => {
      const lane = emptyLane();
      const current = of('current');
      come(lane, exact, current);
      order(lane);
      request(lane, { ...named, policy: exact });
      end(lane, current, 'superseded');
      end(lane, named, 'aborted');
      assert.equal(enter(lane, current).answer.kind, 'admitted');
    });
  });

  it('quarantine both digests of a rejected index, also for operators', () => {
    const lane = emptyLane();
    const child = of('child');
    enter(lane, child);
    verified(lane, { ...child, policy: exact, digest: digestOf('index') });
    end(lane, child, 'rejected', 'ann');
    assert.equal(enter(lane, { ...child, manual: true }).answer.kind, 'quarantined');
    assert.equal(enter(lane, of('index')).answer.kind, 'quarantined');
  });

  it('quarantine an index for every child of it, however late that one comes', () => {
    const lane = emptyLane();
    const [first, sibling] = [of('first child'), of('second child')];
    enter(lane, first);
    verified(lane, { ...first, policy: exact, digest: digestOf('index') });
    end(lane, first, 'rejected', 'ann');
    assert.equal(enter(lane, sibling).answer.kind, 'admitted', 'nobody knows yet whose child it is');
    assert.equal(verified(lane, { ...sibling, policy: exact, digest: digestOf('index') }).answer.kind, 'quarantined');
  });

  it('give no turn to a digest that was quarantined while it waited', () => {
    const lane = emptyLane();
    const [a, other] = [of('bad'), of('bad', 'stable')];
    come(lane, exact, a);
    assert.equal(come(lane, exact, other).kind, 'waiting');
    end(lane, a, 'rejected', 'ann');
    assert.equal(request(lane, { ...other, policy: exact }).answer.kind, 'quarantined');
  });

  it('tell a granted rollout that its digest went out under another tag in the meantime', () => {
    const lane = emptyLane();
    const [latest, stable] = [of('same'), of('same', 'stable')];
    come(lane, exact, latest);
    assert.equal(come(lane, exact, stable).kind, 'waiting');
    end(lane, latest, 'proposed');
    assert.deepEqual(request(lane, { ...stable, policy: exact }).answer, { kind: 'unchanged', by: latest.rollout });
  });

  it('say that they do not know a rollout that they forgot', () => {
    assert.equal(request(emptyLane(), { ...of('a'), policy: exact }).answer.kind, 'unknown');
  });

  it('let a late release of an earlier holder change nothing', () => {
    const lane = emptyLane();
    const [a, b] = [of('a'), of('b')];
    come(lane, exact, a);
    come(lane, exact, b);
    release(lane, { ...a, reached: true });
    release(lane, { ...b, reached: true });
    release(lane, { ...a, reached: true });
    assert.equal(lane.stages[stage]?.current?.rollout, b.rollout);
  });

  it('stay far below the 2 MiB that a workflow can hand on, whatever comes', () => {
    const lane = emptyLane();
    const longReason = 'x'.repeat(100_000);
    for (let number = 0; number < 3_000; number += 1) {
      const one = of(`${number}`, `main-${'9'.repeat(100)}-${number}`);
      enter(lane, one);
      verified(lane, { ...one, policy: exact });
      const leaving = {
        ...one,
        end: 'rejected' as const,
        at: '2026-01-01T00:00:00Z',
        reason: longReason,
        quarantinedBy: longReason,
      };
      leave(lane, leaving);
    }
    const bytes = JSON.stringify(lane).length;
    assert.ok(bytes < 1_500_000, `${bytes} bytes`);
  });

  it('remember at most 500 verdicts, the newest', () => {
    const lane = emptyLane();
    for (let number = 0; number < 600; number += 1) {
      const one = of(`${number}`);
      enter(lane, one);
      end(lane, one, 'proposed');
    }
    assert.equal(Object.keys(lane.verdicts).length, 500);
    assert.ok(Object.keys(lane.verdicts).some((key) => key.endsWith(digestOf('599'))));
    assert.ok(!Object.keys(lane.verdicts).some((key) => key.endsWith(digestOf('0'))));
  });

  it('survive tags and stages that are named like properties of objects', () => {
    const lane = emptyLane();
    const odd = { ...of('odd', 'constructor'), stage: 'constructor', stages: ['constructor'] };
    assert.equal(come(lane, exact, odd).kind, 'granted');
    end(lane, odd, 'proposed');
    assert.equal(enter(lane, { ...odd, runId: 'second' }).answer.kind, 'unchanged');
  });

  const words = ['a', 'b', 'c', 'd'];
  const move = fc.record({
    word: fc.constantFrom(...words),
    what: fc.constantFrom('enter', 'verified', 'request', 'release', 'leave', 'die'),
    how: fc.constantFrom<End>('proposed', 'superseded', 'expired', 'aborted', 'unchanged'),
  });

  it('never give a stage to two, and never leave a free stage with somebody waiting, whatever happens in which order', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), fc.constantFrom(exact, semver), (moves, policy) => {
        let lane = emptyLane();
        let lastTurn = 0;
        let runs = 0;
        const current = new Map<string, Rollout>();
        for (const { word, what, how } of moves) {
          const tag = policy === semver ? `1.${words.indexOf(word)}.0` : 'latest';
          const rollout = current.get(word) ?? { ...of(word, tag), runId: `run ${++runs}` };
          if (what === 'enter' && enter(lane, rollout).answer.kind === 'admitted') current.set(word, rollout);
          if (what === 'verified') verified(lane, { ...rollout, policy });
          if (what === 'request') request(lane, { ...rollout, policy });
          if (what === 'release') release(lane, { ...rollout, reached: true });
          if (what === 'leave') end(lane, rollout, how);
          if (what === 'die') forget(lane, rollout.rollout);
          if (what === 'leave' || what === 'die') current.delete(word);
          lane = JSON.parse(JSON.stringify(lane));
          const { holder, waiters = [], turn = 0 } = lane.stages[stage] ?? {};
          assert.ok(turn >= lastTurn, 'a turn number went back');
          lastTurn = turn;
          if (holder === undefined) assert.deepEqual(waiters, []);
          else assert.ok(holder in lane.members, 'the holder is nobody');
          assert.equal(new Set([...waiters, holder]).size, waiters.length + 1, 'one stands there twice');
          for (const waiter of waiters) assert.ok(waiter in lane.members, 'a waiter is nobody');
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
