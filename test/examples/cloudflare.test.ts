import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import worker from '../../examples/cloudflare/src/index.js';
import type { ReceivedPushes } from '../../src/api/webhooks/plan-starts.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { githubSecret, type Ingress, startIngress } from '../api/support/ingress.ts';
import { vectorsOf } from '../api/support/vectors.ts';
import { type HttpServer, startHttpServer } from '../support/http-server.ts';

const relay = 'https://landfall-relay.team.workers.dev';
const access = { CF_ACCESS_CLIENT_ID: 'id.access', CF_ACCESS_CLIENT_SECRET: 'canary-access' };
/** A payload with letters beyond ASCII, and blanks that would not survive being parsed and written again. */
const example = vectorsOf('github').find(({ images }) => images.length > 0) ?? assert.fail('no payload');
const payload = ` ${example.raw.replace(/^\{/, '{ "note": "ångström \\u00e5 – 船",  ')}\n`;

function signed(body: string, secret = githubSecret): Record<string, string> {
  return { ...example.headers, 'X-Hub-Signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` };
}

function post(
  path: string,
  body: string | Uint8Array<ArrayBuffer> | ReadableStream,
  headers: Record<string, string> = {},
): Request {
  return new Request(`${relay}${path}`, {
    method: 'POST',
    body,
    headers,
    ...(body instanceof ReadableStream && { duplex: 'half' }),
  });
}

describe('the relay of examples/cloudflare before a Landfall', () => {
  let ingress: Ingress;
  let accepted: ReceivedPushes[];
  beforeEach(async () => {
    accepted = [];
    ingress = await startIngress({
      trustedProxies: ['127.0.0.1'],
      acceptPushes: () => async (received) => {
        accepted.push(received);
        return { rollouts: [], resolving: [] };
      },
    });
  });
  afterEach(() => ingress.listeners.stop());
  const sent = (request: Request): Promise<Response> => worker.fetch(request, { LANDFALL_URL: `${ingress.url}/` });

  it('keeps a signature right, and answers what Landfall does', async () => {
    const direct = await ingress.post('/webhook/image-published', payload, signed(payload));
    const relayed = await sent(post('/webhook/image-published', payload, signed(payload)));
    assert.deepEqual([relayed.status, await relayed.json()], [direct.status, await direct.json()]);
    assert.equal(relayed.headers.get('content-type'), direct.headers.get('content-type'));
    assert.deepEqual(
      accepted.map(({ pushes }) => pushes.map(({ repository }) => repository)),
      [example.images, example.images].map((images) => images.map(({ repository }) => repository)),
    );
  });

  it('passes a refusal on', async () => {
    const relayed = await sent(post('/webhook/image-published', payload, signed(payload, 'wrong')));
    assert.equal(relayed.status, 401);
    assert.match(relayed.headers.get('www-authenticate') ?? '', /HMAC/);
    assert.deepEqual(accepted, []);
  });

  it('tells the address of the sender, and believes nobody else about it', async () => {
    const headers = { ...signed(payload), 'CF-Connecting-IP': '192.0.2.7', 'X-Forwarded-For': '198.51.100.1' };
    await sent(post('/webhook/image-published', payload, headers));
    assert.deepEqual(
      ingress.audited().map(({ remote_address: address }) => address),
      ['192.0.2.7'],
    );
  });

  it('relays nothing but webhooks', async () => {
    for (const path of ['/healthz', '/', '/incoming', '/webhook/', '/webhook/../healthz', '/events'])
      assert.equal((await sent(post(path, payload))).status, 404, path);
    const asked = await sent(new Request(`${relay}/webhook/image-published`));
    assert.deepEqual([asked.status, asked.headers.get('allow')], [405, 'POST']);
    assert.deepEqual(ingress.audited(), []);
  });
});

describe('the relay of examples/cloudflare', () => {
  let origin: HttpServer | undefined;
  afterEach(async () => {
    await origin?.stop();
    origin = undefined;
  });
  const answering = async (answer: (response: ServerResponse) => void): Promise<string> => {
    origin = await startHttpServer((_request, response) => answer(response));
    return `http://${origin.host}`;
  };

  it('shows Access its service token, never one of the sender’s, and keeps cookies of Access to itself', async () => {
    const LANDFALL_URL = await answering((response) => {
      response.writeHead(202, { 'Set-Cookie': 'CF_Authorization=canary', 'Content-Type': 'application/json' }).end('{}');
    });
    const forged = { 'CF-Access-Client-Id': 'forged', Cookie: 'a=b', Authorization: 'Bearer of-the-sender', 'X-Own': 'kept' };
    const answer = await worker.fetch(post('/webhook/harbor', '{}', forged), { LANDFALL_URL, ...access });
    const { headers } = origin?.requests[0] ?? assert.fail('nothing came');
    assert.deepEqual(
      [
        headers['cf-access-client-id'],
        headers['cf-access-client-secret'],
        headers.authorization,
        headers['x-own'],
        headers.cookie,
      ],
      ['id.access', 'canary-access', 'Bearer of-the-sender', 'kept', undefined],
    );
    assert.deepEqual([answer.status, answer.headers.get('set-cookie')], [202, null]);
    await worker.fetch(post('/webhook/harbor', '{}', forged), { LANDFALL_URL });
    assert.equal(origin?.requests[1]?.headers['cf-access-client-id'], undefined);
  });

  it('keeps path and query as they are', async () => {
    const LANDFALL_URL = await answering((response) => response.writeHead(204).end());
    const answer = await worker.fetch(post('/webhook/quay/a%2Fb?secret=x%20y', '{}'), { LANDFALL_URL });
    assert.deepEqual([answer.status, origin?.requests[0]?.url], [204, '/webhook/quay/a%2Fb?secret=x%20y']);
  });

  it('does not follow Access to its log-in', async () => {
    const LANDFALL_URL = await answering((response) => response.writeHead(302, { Location: '/login' }).end());
    const answer = await worker.fetch(post('/webhook/harbor', '{}'), { LANDFALL_URL });
    assert.equal(answer.status, 502);
    assert.match(await answer.text(), /service token/);
    assert.equal(origin?.requests.length, 1);
  });

  it('waits no longer than it may', async () => {
    const LANDFALL_URL = await answering(() => undefined);
    const answer = await worker.fetch(post('/webhook/harbor', '{}'), { LANDFALL_URL, TIMEOUT_MS: '50' });
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [504, '10']);
  });

  it('asks for a repetition where Landfall is away, and shows nothing of what is behind it', async () => {
    const LANDFALL_URL = `http://127.0.0.1:${await reservePort()}`;
    const answer = await worker.fetch(post('/webhook/harbor', '{}'), { LANDFALL_URL, ...access });
    assert.deepEqual([answer.status, answer.headers.get('retry-after')], [502, '10']);
    assert.doesNotMatch(await answer.text(), /127\.0\.0\.1|canary/);
  });

  it('takes no more than Landfall does, however it comes', async () => {
    const LANDFALL_URL = await answering((response) => response.writeHead(202).end());
    const large = new Uint8Array(1024 * 1024 + 1);
    const inParts = new Blob([large]).stream();
    for (const body of [large, inParts]) {
      const answer = await worker.fetch(post('/webhook/harbor', body), { LANDFALL_URL });
      assert.equal(answer.status, 413);
    }
    const largest = await worker.fetch(post('/webhook/harbor', large.subarray(1)), { LANDFALL_URL });
    assert.deepEqual([largest.status, origin?.requests.length], [202, 1]);
    assert.equal(origin?.requests[0]?.headers['content-length'], String(1024 * 1024));
  });

  it('says so where it is not set up', async () => {
    for (const LANDFALL_URL of ['', 'landfall']) {
      assert.equal((await worker.fetch(post('/event', '{}'), { LANDFALL_URL })).status, 503);
    }
  });

  it('prints nothing', () => {
    const folder = new URL('../../examples/cloudflare/src/', import.meta.url);
    for (const name of readdirSync(folder)) assert.doesNotMatch(readFileSync(new URL(name, folder), 'utf8'), /console\./, name);
  });

  it('is described by a wrangler.toml that leads to it from a domain of one’s own, and keeps addresses out of the log', () => {
    const file = new URL('../../examples/cloudflare/wrangler.toml', import.meta.url);
    const text = readFileSync(file, 'utf8');
    const [, main = ''] = /^main = "(.*)"$/m.exec(text) ?? [];
    assert.ok(existsSync(new URL(main, file)));
    assert.match(text, /\[observability\]\nenabled = false/);
    assert.match(text, /^compatibility_date = "\d{4}-\d\d-\d\d"$/m);
    assert.match(text, /^routes = \[\{ pattern = "[\w.]+", custom_domain = true \}\]$/m);
    for (const secret of [...Object.keys(access), 'WEBHOOK_SECRET', 'GITHUB_TOKEN'])
      assert.doesNotMatch(text, new RegExp(`^${secret} *=`, 'm'));
  });
});
