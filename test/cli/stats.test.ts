import assert from 'node:assert/strict';
import { describeFigures } from '../../src/cli/commands/stats.ts';
import { figuresOf } from '../../src/operations/figures.ts';
import { targets } from '../../src/operations/targets.ts';

describe('landfall stats', () => {
  for (const [p95Seconds, sign] of [
    [899, '✔'],
    [1_200, '✘'],
  ] as const) {
    it(`says of a p95 of ${p95Seconds} s to the proposal ${sign}, as the page does`, () => {
      const figures = { ...figuresOf([], { days: 7, now: 0 }), isCut: false };
      const toProposed = { count: 20, p50Seconds: 60, p95Seconds };
      const [line = ''] = describeFigures({ ...figures, toProposed }, targets).filter((text) =>
        text.includes('push to proposal'),
      );
      assert.ok(line.endsWith(sign), line);
    });
  }
});
