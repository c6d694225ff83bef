import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { createIsForUs } from '../../src/platform/http/own-name.ts';
import { type Ingress, startIngress } from '../api/support/ingress.ts';

describe("the operators' listener", () => {
  let ingress: Ingress;
  before(async () => {
    ingress = await startIngress();
  });
  after(() => ingress.listeners.stop());

  async function statusOf(path: string, host: string): Promise<number | undefined> {
    const sent = request(new URL(path, ingress.operatorsUrl), { headers: { host }, agent: false }).end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    answer.resume();
    return answer.statusCode;
  }

  it('answers to addresses and to names that only the own network has, and to no host that somebody pointed at it', async () => {
    for (const host of ['127.0.0.1:8081', 'localhost', '[::1]:1', '10.1.2.3:8081', '[fd00::7]', 'landfall-api:8081'])
      assert.equal(await statusOf('/metrics', host), 200, host);
    for (const host of [
      'evil.example',
      '127.0.0.1.evil.example',
      'localhost.evil.example:8081',
      '10.1.2.3.evil.example',
      '1.2.3',
    ])
      assert.equal(await statusOf('/metrics', host), 421, host);
  });

  it('answers load balancers, which ask by any name', async () => {
    for (const path of ['/healthz', '/readyz']) assert.equal(await statusOf(path, 'landfall.example.org'), 200, path);
  });
});

describe('a name by which a listener may be asked', () => {
  const asked = (reach: 'loopback' | 'network', host: readonly string[], origin?: readonly string[]) =>
    createIsForUs(reach, ['ops.example.org'])({ headersDistinct: { host, ...(origin && { origin }) } });

  it('is one that was configured, in any letters and at any port', () => {
    assert.ok(asked('loopback', ['OPS.example.org:444']));
    assert.ok(!asked('network', ['ops.example.org.evil.example']));
  });

  it('is the own network only for what is reached from there', () => {
    for (const host of ['10.1.2.3', 'landfall', '[fd00::7]']) {
      assert.ok(asked('network', [host]), host);
      assert.ok(!asked('loopback', [host]), host);
    }
  });

  it('is there once, is one, and goes with the page that asks', () => {
    for (const hosts of [[], [''], ['localhost', 'localhost'], ['localhost:x'], ['user@localhost'], ['localhost/x'], ['::1']])
      assert.ok(!asked('network', hosts), hosts.join());
    assert.ok(asked('loopback', ['localhost'], ['http://localhost:8233']));
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example', 'file://'])
      assert.ok(!asked('network', ['localhost'], [origin]), origin);
  });
});
