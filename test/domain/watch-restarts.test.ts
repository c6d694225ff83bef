import assert from 'node:assert/strict';
import fc from 'fast-check';
import { countRestarts, type Restarts } from '../../src/domain/watch.ts';

function counted(...looks: (readonly [id: string, restartCount: number][])[]): Restarts | undefined {
  let known: Restarts | undefined;
  for (const seen of looks)
    known = countRestarts(
      known,
      seen.map(([id, restartCount]) => ({ id, restartCount })),
    );
  return known;
}

describe('restarts while watching', () => {
  it('those of before the watch are not counted', () => {
    assert.equal(counted([['a', 7]])?.a?.since, 0);
    assert.equal(counted([['a', 7]], [['a', 9]])?.a?.since, 2);
  });

  it('all those of a container that came later are', () => {
    assert.equal(counted([['a', 7]], [['b', 3]])?.b?.since, 3);
  });

  it('a count that begins again, as after a restart of the daemon, adds nothing but what comes after', () => {
    assert.equal(counted([['a', 5]], [['a', 6]], [['a', 0]])?.a?.since, 1);
    assert.equal(counted([['a', 5]], [['a', 6]], [['a', 0]], [['a', 2]])?.a?.since, 3);
  });

  it('never goes down, and survives JSON', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 1 }), (counts) => {
        let known: Restarts | undefined;
        for (const restartCount of counts) {
          const next = countRestarts(known && JSON.parse(JSON.stringify(known)), [{ id: 'a', restartCount }]);
          assert.ok((next.a?.since ?? -1) >= (known?.a?.since ?? 0));
          known = next;
        }
      }),
    );
  });
});
