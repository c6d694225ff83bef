import assert from 'node:assert/strict';
import { createKnownNetworks, createShares } from '../../src/http/shares.ts';

const noneKnown = { has: () => false };

/** How many a network gets that takes whatever it can. */
function greed({ take }: ReturnType<typeof createShares>, network: string): number {
  let count = 0;
  while (take(network)) count += 1;
  return count;
}

describe('the shares of networks', () => {
  it('leave half of it where one takes whatever it can, and half of the rest behind the second', () => {
    const shares = createShares(128, noneKnown);
    assert.deepEqual(
      ['one', 'two', 'three'].map((network) => greed(shares, network)),
      [48, 24, 12],
    );
    assert.ok(shares.take('a newcomer'));
  });

  for (const attackers of [1, 7, 20, 60]) {
    it(`have something for a newcomer soon, while ${attackers} networks take again whatever they can of what ends`, () => {
      const shares = createShares(128, noneKnown);
      const names = Array.from({ length: attackers }, (_, index) => `attacker ${index}`);
      const held = new Map(names.map((name) => [name, greed(shares, name)]));
      let ended = 0;
      for (; !shares.take('newcomer'); ended += 1) {
        assert.ok(ended < 128, 'each of what they held has ended once');
        const [most = ''] = names.toSorted((one, other) => (held.get(other) ?? 0) - (held.get(one) ?? 0));
        shares.giveBack(most);
        held.set(most, (held.get(most) ?? 0) - 1);
        for (const name of names) held.set(name, (held.get(name) ?? 0) + greed(shares, name));
      }
    });
  }

  it('keep a quarter for known networks, of which none can take all either', () => {
    const known = createKnownNetworks();
    known.add('github');
    known.add('stolen');
    const shares = createShares(128, known);
    let strangers = 0;
    while (shares.take(`stranger ${strangers}`)) strangers += 1;
    assert.equal(strangers, 96);
    assert.equal(greed(shares, 'stolen'), 16);
    assert.equal(greed(shares, 'github'), 8);
  });

  it('are of no avail to whoever speaks for many, but for what there is', () => {
    const shares = createShares(4, noneKnown);
    const taken = [1, 2, 3, 4, 5].map(() => shares.takeAny('proxy'));
    assert.deepEqual(taken, [true, true, true, true, false]);
    shares.giveBack('proxy');
    assert.ok(shares.takeAny('proxy'));
  });

  it('hold nothing of those who gave everything back', () => {
    const shares = createShares(8, noneKnown);
    for (let round = 0; round < 100; round += 1) {
      const count = greed(shares, 'one');
      assert.equal(count, 3);
      for (let given = 0; given < count; given += 1) shares.giveBack('one');
    }
  });

  it('of a single place are that place', () => {
    assert.equal(greed(createShares(1, noneKnown), 'one'), 1);
  });
});

describe('known networks', () => {
  it('are bounded: the one that was not seen for the longest time is forgotten', () => {
    const known = createKnownNetworks(2);
    known.add('a');
    known.add('b');
    known.add('a');
    known.add('c');
    assert.deepEqual(
      ['a', 'b', 'c'].map((network) => known.has(network)),
      [true, false, true],
    );
  });
});
