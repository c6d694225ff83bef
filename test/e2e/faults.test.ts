import assert from 'node:assert/strict';
import type { Digest } from '../../src/domain/image-reference.ts';
import { type Fault, type FaultyProxy, startFaultyProxy } from '../support/faulty-proxy.ts';
import { goodImage, startWorld, type World } from '../support/world.ts';

const faults: readonly Fault[] = [
  { kind: 'status', status: 500 },
  { kind: 'status', status: 429, headers: { 'retry-after': '1' } },
  { kind: 'cut' },
  { kind: 'cut-body' },
  { kind: 'status', status: 503 },
];

describe('a registry and a forge that fail in turn', function () {
  this.timeout(240_000);
  let world: World;
  let proxy: FaultyProxy;
  before(async () => {
    world = await startWorld({
      forge: 'github',
      inFront: async (registry) => {
        proxy = await startFaultyProxy(registry.url);
        return proxy.host;
      },
    });
    await world.start();
  });
  afterEach(function () {
    if (this.currentTest?.state === 'failed') console.error(world.lastWords());
  });
  after(async () => {
    await world.stop();
    await proxy.stop();
  });

  let version = 0;
  const push = async (): Promise<Digest> => {
    version += 1;
    return await world.push('latest', { ...goodImage, labels: { version: `${version}` } });
  };
  const assertProposed = async (digest: Digest): Promise<void> => {
    await world.until('latest', digest, 'proposed', 120_000);
    const { pulls } = world.github.repository('team/deployment');
    assert.equal(pulls.length, 1);
    assert.match(pulls[0]?.body ?? '', new RegExp(digest));
  };

  it('end in a proposal when the registry answers 500, 429, 503 and cuts connections', async () => {
    proxy.next(...faults);
    const digest = await push();
    await world.deliver('latest', digest);
    await assertProposed(digest);
    assert.equal(proxy.remaining(), 0);
  });

  it('end in a proposal when the forge answers 500, limits the rate, and cuts connections', async () => {
    world.github.failNext({ status: 500 });
    world.github.failNext({ rateLimit: 'secondary', seconds: 2 });
    world.github.failNext({ cut: true });
    world.github.failNext({ rateLimit: 'primary', seconds: 2 });
    world.github.failNext({ cut: 'within' });
    world.github.failNext({ status: 502, afterwards: true, matching: (method) => method !== 'GET' });
    const digest = await push();
    await world.deliver('latest', digest);
    await assertProposed(digest);
  });

  it('end in a proposal when registry and forge answer nothing for a while', async () => {
    proxy.next({ kind: 'hang' });
    world.github.failNext({ hang: true });
    const digest = await push();
    await world.deliver('latest', digest);
    await assertProposed(digest);
  });
});
