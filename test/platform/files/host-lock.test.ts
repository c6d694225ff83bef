import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turnOver } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createHostLock, type HostLock } from '../../../src/platform/files/host-lock.ts';

describe('the lock of a host', () => {
  let folder: string;
  let lock: HostLock;
  const never = new AbortController().signal;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-locks-'));
    lock = createHostLock(folder);
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('lets one in after the other, whoever asks', async () => {
    let inside = 0;
    let most = 0;
    const enter = async (number: number) => {
      inside += 1;
      most = Math.max(most, inside);
      for (let turns = 0; turns < 20; turns += 1) await turnOver();
      inside -= 1;
      return number;
    };
    const all = Array.from({ length: 8 }, (_, number) => createHostLock(folder).hold('/srv/shop', never, () => enter(number)));
    assert.deepEqual(await Promise.all(all), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.equal(most, 1);
  });

  it('is passed on three hundred times among forty, and nobody fails because another one lets go', async () => {
    let left = 300;
    const keepAsking = async () => {
      while (left > 0) {
        await createHostLock(folder).hold('/srv/shop', never, async () => {
          left -= 1;
        });
      }
    };
    await Promise.all(Array.from({ length: 40 }, keepAsking));
    assert.ok(left <= 0);
  });

  it('does not keep those apart who are in different places', async () => {
    const both = await lock.hold('/srv/shop', never, () => lock.hold('/srv/forum', never, async () => 'both'));
    assert.equal(both, 'both');
  });

  it('is given back by whoever fails', async () => {
    await assert.rejects(
      lock.hold('/srv/shop', never, async () => {
        throw new Error('broken');
      }),
      /broken/,
    );
    assert.equal(await lock.hold('/srv/shop', never, async () => 'free'), 'free');
  });

  it('is waited for by nobody who does not want it any more', async () => {
    const stop = new AbortController();
    await lock.hold('/srv/shop', never, async () => {
      const waiting = lock.hold('/srv/shop', stop.signal, async () => assert.fail('two are in'));
      stop.abort();
      await assert.rejects(waiting, { name: 'AbortError' });
    });
  });

  it('is held against other processes, and freed when its holder is killed', async () => {
    const script = fileURLToPath(new URL('./hold-lock.ts', import.meta.url));
    const holder = spawn(process.execPath, [script, folder, '/srv/shop'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(holder, 'exit');
    try {
      await once(holder.stdout, 'data');
      let isFree = false;
      const waiting = lock.hold('/srv/shop', never, async () => {
        isFree = true;
      });
      // Long enough for several looks.
      await assert.rejects(
        lock.hold('/srv/shop', AbortSignal.timeout(600), async () => undefined),
        { name: 'TimeoutError' },
      );
      assert.equal(isFree, false);
      holder.kill('SIGKILL');
      await waiting;
      assert.equal(isFree, true);
    } finally {
      holder.kill('SIGKILL');
      await exited;
    }
  });
});
