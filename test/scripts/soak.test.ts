import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { runSoak } from '../../scripts/soak.ts';

describe('a minute of random kills', function () {
  this.timeout(900_000);

  it('loses nothing, does nothing twice, and leaves nothing', async () => {
    const lines: string[] = [];
    const seed = Date.now() % 1_000_000;
    const root = fileURLToPath(new URL('../..', import.meta.url));
    const faults = await runSoak({ root, minutes: 1, seed, print: (line) => void lines.push(line) });
    assert.deepEqual(faults, [], lines.join('\n'));
  });
});
