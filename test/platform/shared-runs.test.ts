import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { SharedRuns } from '../../src/platform/shared-runs.ts';

describe('work that several share', () => {
  it('leaves nothing behind at the signals of those who waited, however it ended', async () => {
    const runs = new SharedRuns<string>();
    const { signal } = new AbortController();
    await Promise.all([1, 2].map(() => runs.run('a', async () => 'done', signal)));
    const failing = async (): Promise<string> => {
      throw new Error('broken');
    };
    await assert.rejects(runs.run('b', failing, signal), /broken/);
    assert.deepEqual(getEventListeners(signal, 'abort'), []);
  });

  it('is stopped when nobody waits for it any more, and begun anew for whoever comes then', async () => {
    const runs = new SharedRuns<string>();
    const caller = new AbortController();
    let stopped = false;
    const waiting = runs.run(
      'a',
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            stopped = true;
            reject(signal.reason);
          });
        }),
      caller.signal,
    );
    caller.abort(new Error('no longer wanted'));
    await assert.rejects(waiting, /no longer wanted/);
    assert.equal(stopped, true);
    assert.equal(await runs.run('a', async () => 'anew', new AbortController().signal), 'anew');
  });
});
