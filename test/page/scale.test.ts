import assert from 'node:assert/strict';
import fc from 'fast-check';
import { foldedScale } from '../../src/page/rollout/scale.ts';

const minute = 60_000;

describe('the time of a rollout on one line', () => {
  it('folds the night that an approval took', () => {
    const { folds, place } = foldedScale([
      { from: 0, to: minute },
      { from: 600 * minute, to: 601 * minute },
    ]);
    assert.deepEqual(
      folds.map(({ from, to }) => [from, to]),
      [[minute, 600 * minute]],
    );
    assert.ok(place(minute) > 40 && place(600 * minute) < 60, `${place(minute)}, ${place(600 * minute)}`);
  });

  it('shows short waits as long as they were', () => {
    const { folds, place } = foldedScale([
      { from: 0, to: 2 * minute },
      { from: 2.5 * minute, to: 5 * minute },
    ]);
    assert.deepEqual(folds, []);
    assert.equal(place(2.5 * minute), 50);
  });

  it('never goes back, and never leaves the line', () => {
    const span = fc.record({ from: fc.nat(10 ** 9), length: fc.nat(10 ** 8) });
    fc.assert(
      fc.property(fc.array(span, { maxLength: 12 }), fc.array(fc.nat(2 * 10 ** 9), { minLength: 2 }), (spans, times) => {
        const { place } = foldedScale(spans.map(({ from, length }) => ({ from, to: from + length })));
        const places = [...times].sort((one, other) => one - other).map(place);
        for (const [index, at] of places.entries()) {
          assert.ok(at >= 0 && at <= 100.0001, String(at));
          assert.ok(at >= (places[index - 1] ?? 0) - 0.0001);
        }
      }),
    );
  });
});
