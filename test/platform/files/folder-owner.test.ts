import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownFolder } from '../../../src/platform/files/folder-owner.ts';

describe('the owner of a data folder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-owner-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function claim(text: string): Promise<Server> {
    const server = createServer((socket) => socket.end(text)).listen(join(folder, 'owner-0a1b2c3d.sock'));
    await once(server, 'listening');
    return server;
  }

  it('has it alone, and is named to whoever comes next', async () => {
    const giveBack = await ownFolder(folder);
    await assert.rejects(ownFolder(folder), {
      message: `${folder} is in use by another Landfall (process ${process.pid} on ${hostname()}): stop that one, or choose another data folder for this one`,
    });
    await giveBack();
    assert.deepEqual(await readdir(folder), []);
    await (await ownFolder(folder))();
  });

  it('may be in another container, where no process id of ours tells whether it lives', async () => {
    const other = await claim('process 7 on 3f2a');
    try {
      await assert.rejects(ownFolder(folder), /in use by another Landfall \(process 7 on 3f2a\)/);
    } finally {
      other.close();
    }
  });

  it('is nobody where a killed process left its claim', async () => {
    const killed = await claim('');
    // Closing it takes the file away, which a killed process cannot.
    const [left, aside] = [join(folder, 'owner-0a1b2c3d.sock'), join(folder, 'aside')];
    await rename(left, aside);
    killed.close();
    await rename(aside, left);
    await (await ownFolder(folder))();
    assert.deepEqual(await readdir(folder), []);
  });

  it('is one of many that want it at the same moment', async () => {
    for (let round = 0; round < 3; round++) {
      const wanted = await Promise.allSettled(Array.from({ length: 8 }, () => ownFolder(folder)));
      const owners = wanted.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
      assert.equal(owners.length, 1);
      for (const giveBack of owners) await giveBack();
    }
  });

  it('may have a folder whose path is longer than that of any socket', async () => {
    const deep = join(folder, 'x'.repeat(120));
    await mkdir(deep);
    const giveBack = await ownFolder(deep);
    assert.deepEqual((await readdir(deep)).length, 1);
    await assert.rejects(ownFolder(deep), /in use/);
    await giveBack();
  });
});
