import assert from 'node:assert/strict';
import { channel } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { connect, createServer, Server, type Socket } from 'node:net';
import { reservePort } from '../../src/platform/ports.ts';

describe('a reserved port', () => {
  const servers: Server[] = [];
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => once(server.close(), 'close')));
  });
  async function listen(port: number): Promise<number> {
    // Somebody may look for a server that was here before, and not hang up.
    const server = createServer((socket) => socket.on('error', () => undefined).destroy()).listen(port, '127.0.0.1');
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

  it('is there although a stranger connected to it first, sent something, and does not hang up', async () => {
    const strangers: Socket[] = [];
    const listens = channel('tracing:net.server.listen:asyncEnd');
    const connectFirst = (event: unknown) => {
      assert.ok(typeof event === 'object' && event !== null && 'server' in event && event.server instanceof Server);
      const address = event.server.address();
      assert.ok(address !== null && typeof address === 'object');
      const stranger = connect({ port: address.port, host: address.address, allowHalfOpen: true });
      stranger.on('error', () => undefined).write('is anybody there?');
      strangers.push(stranger);
    };
    listens.subscribe(connectFirst);
    try {
      const port = await reservePort();
      assert.equal(strangers.length, 1);
      assert.equal(await listen(port), port);
    } finally {
      listens.unsubscribe(connectFirst);
      for (const stranger of strangers) stranger.destroy();
    }
  });
});
