import assert from 'node:assert/strict';
import { concurrently } from '../../src/domain/concurrently.ts';

describe('what is done concurrently', () => {
  it('keeps the order of the items, and never has more under way than allowed', async () => {
    let underWay = 0;
    let most = 0;
    const results = await concurrently([5, 4, 3, 2, 1], 2, async (item) => {
      underWay += 1;
      most = Math.max(most, underWay);
      for (let turn = 0; turn < item; turn += 1) await Promise.resolve();
      underWay -= 1;
      return item * 10;
    });
    assert.deepEqual(results, [50, 40, 30, 20, 10]);
    assert.equal(most, 2);
  });

  it('fails with the first error, begins nothing more, and only once what is under way is over', async () => {
    const begun: number[] = [];
    const over: number[] = [];
    let finish = () => {};
    const slow = new Promise<void>((resolve) => (finish = resolve));
    const failing = concurrently([1, 2, 3, 4], 2, async (item) => {
      begun.push(item);
      if (item === 1) throw new Error('the first');
      await slow;
      over.push(item);
    });
    let isSettled = false;
    const settled = failing.catch((error: unknown) => error).finally(() => (isSettled = true));
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    assert.equal(isSettled, false);
    finish();
    assert.match(String(await settled), /the first/);
    assert.deepEqual([begun, over], [[1, 2], [2]]);
  });
});
