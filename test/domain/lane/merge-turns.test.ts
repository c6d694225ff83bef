import assert from 'node:assert/strict';
import fc from 'fast-check';
import { leaveMergeTurns, type MergeTurns, takeMergeTurn } from '../../../src/domain/lane/merge-turns.ts';

const run = (rollout: string, runId = 'first'): { rollout: string; runId: string } => ({ rollout, runId });

describe('the turns to merge', () => {
  it('come in the order in which they were asked for, however often', () => {
    const turns: MergeTurns = { waiting: [] };
    assert.deepEqual(takeMergeTurn(turns, run('a')), {});
    assert.deepEqual(takeMergeTurn(turns, run('a')), {});
    assert.deepEqual(takeMergeTurn(turns, run('b')), { behind: 'a' });
    assert.deepEqual(takeMergeTurn(turns, run('c')), { behind: 'a' });
    assert.deepEqual(takeMergeTurn(turns, run('b')), { behind: 'a' });
    assert.deepEqual(leaveMergeTurns(turns, run('a')), run('b'));
    assert.equal(leaveMergeTurns(turns, run('a')), undefined);
    assert.deepEqual(takeMergeTurn(turns, run('c')), { behind: 'b' });
  });

  it('are not taken by the death of who waits', () => {
    const turns: MergeTurns = { waiting: [] };
    for (const name of ['a', 'b', 'c']) takeMergeTurn(turns, run(name));
    assert.equal(leaveMergeTurns(turns, run('b')), undefined);
    assert.deepEqual(leaveMergeTurns(turns, run('a')), run('c'));
  });

  it('pass on when the rollout that held one comes again as another run', () => {
    const turns: MergeTurns = { waiting: [] };
    takeMergeTurn(turns, run('a'));
    takeMergeTurn(turns, run('b'));
    assert.deepEqual(takeMergeTurn(turns, run('a', 'second')), { behind: 'b', next: run('b') });
    assert.equal(leaveMergeTurns(turns, run('a', 'first')), undefined, 'the earlier run holds nothing any more');
  });

  it('never are with two, and never with nobody while somebody waits', () => {
    const move = fc.record({
      rollout: fc.constantFrom('a', 'b', 'c'),
      runId: fc.constantFrom('first', 'second'),
      take: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(move, { maxLength: 50 }), (moves) => {
        const turns: MergeTurns = { waiting: [] };
        for (const { take, ...who } of moves) {
          const former = turns.holder;
          const answer = take ? takeMergeTurn(turns, who) : leaveMergeTurns(turns, who);
          if (turns.holder === undefined) assert.deepEqual(turns.waiting, []);
          const rollouts = [turns.holder, ...turns.waiting].map((one) => one?.rollout);
          assert.equal(new Set(rollouts).size, rollouts.length, 'one stands there twice');
          const isNew = turns.holder !== undefined && JSON.stringify(turns.holder) !== JSON.stringify(former);
          const told = answer !== undefined && ('next' in answer ? answer.next : 'rollout' in answer ? answer : undefined);
          const isMine = turns.holder?.rollout === who.rollout && turns.holder.runId === who.runId;
          assert.equal(
            isNew && !(take && isMine),
            told !== undefined && told !== false,
            'whose turn has come is told, and nobody else',
          );
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
