import assert from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Agent } from 'node:http';
import { inspect } from 'node:util';
import { requireAlive } from '../../../src/platform/docker/connect.ts';
import { ensureDocker } from '../../support/docker.ts';

describe('a request to Docker', () => {
  let looks: number;
  /** Counts whoever describes it. */
  const everything = {
    [inspect.custom]() {
      looks += 1;
      return 'everything';
    },
  };
  beforeEach(() => {
    looks = 0;
  });

  it('is made without a look at everything that its connection leads to', async () => {
    const docker = await ensureDocker();
    Object.assign(docker.modem, { agent: Object.assign(new Agent(), { everything }) });
    assert.equal(String(await docker.ping()), 'OK');
    assert.equal(looks, 0);
  });

  it('so is the one that finds out whether Docker is there to stay, within a step that has much', async () => {
    const docker = await ensureDocker();
    await new AsyncLocalStorage().run(everything, () => requireAlive(docker));
    assert.equal(looks, 0);
  });
});
