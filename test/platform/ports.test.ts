import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { reservePort } from '../../src/platform/ports.ts';

describe('a reserved port', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => once(server.close(), 'close')));
  });
  async function listen(port: number): Promise<number> {
    const server = createServer().listen(port, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    return address.port;
  }

  it('is given to nobody who asks for any, and to whoever names it', async () => {
    const reserved = await Promise.all(Array.from({ length: 300 }, () => reservePort()));
    assert.equal(new Set(reserved).size, reserved.length);
    const anywhere = await Promise.all(Array.from({ length: 2_000 }, () => listen(0)));
    assert.deepEqual(
      anywhere.filter((port) => reserved.includes(port)),
      [],
    );
    for (const port of reserved) assert.equal(await listen(port), port);
  });
});
