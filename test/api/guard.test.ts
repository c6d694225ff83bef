import assert from 'node:assert/strict';
import { IncomingMessage, ServerResponse } from 'node:http';
import { connect, Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import Koa, { type Middleware } from 'koa';
import { guard } from '../../src/api/webhooks/guard.ts';
import { identify, type RequestState } from '../../src/api/webhooks/request.ts';
import { Problem } from '../../src/http/problem.ts';
import { eventually } from '../support/wait.ts';
import { distributionToken, type Ingress, type IngressOptions, startIngress } from './support/ingress.ts';
import { converse } from './support/raw-http.ts';
import { bearer } from './support/vectors.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const github = '/webhook/image-published';
const distribution = '/webhook/distribution';
const onePush = JSON.stringify({
  events: [{ action: 'push', target: { repository: 'a/b', tag: '1' }, request: { host: 'r.example' } }],
});
const json = { 'Content-Type': 'application/json' };

describe('the guard', () => {
  it('answers whoever sends too often with 429 and when to come back, before anything else is looked at', async () => {
    await withIngress({ limits: { perMinute: 3 } }, async ({ post, audited, operatorsUrl }) => {
      for (let sent = 0; sent < 3; sent += 1) assert.equal((await post(github, '{}', json)).status, 401);
      const answer = await post(github, '{}', { 'Content-Type': 'text/plain' });
      const wait = Number(answer.headers.get('Retry-After'));
      assert.ok(wait >= 1 && wait <= 60, `Retry-After: ${wait}`);
      await expectProblem(answer, 429, /at most 3 requests a minute from one address/);
      assert.deepEqual(
        [audited().at(-1)?.source, audited().at(-1)?.outcome, audited().at(-1)?.status],
        ['github', 'limited', 429],
      );
      const figures = await (await fetch(`${operatorsUrl}/metrics`)).text();
      assert.match(figures, /landfall_webhook_requests_total\{source="github",outcome="limited"\} 1/);
    });
  });

  it('counts each source by itself, paths that are nobody’s as one, and never looks at /healthz', async () => {
    await withIngress({ limits: { perMinute: 1 } }, async ({ post, url, audited }) => {
      assert.equal((await post(github, '{}', json)).status, 401);
      assert.equal((await post(github, '{}', json)).status, 429);
      assert.equal((await post(distribution, '{}', json)).status, 401);
      assert.equal((await post('/one', '{}', json)).status, 404);
      assert.equal((await post('/another', '{}', json)).status, 429);
      assert.equal((await fetch(`${url}${github}`)).status, 429);
      for (let asked = 0; asked < 5; asked += 1) assert.equal((await fetch(`${url}/healthz`)).status, 200);
      assert.deepEqual(
        audited().map(({ source, status }) => [source, status]),
        [
          ['github', 401],
          ['github', 429],
          ['distribution', 401],
          ['none', 404],
          ['none', 429],
          ['github', 429],
        ],
      );
    });
  });

  it('counts each sender behind a trusted proxy by itself, IPv6 by its /64', async () => {
    await withIngress({ limits: { perMinute: 1 }, trustedProxies: ['127.0.0.1'] }, async ({ post }) => {
      const from = async (address: string): Promise<number> =>
        (await post(github, '{}', { ...json, 'X-Forwarded-For': `198.51.100.1, ${address}` })).status;
      assert.equal(await from('192.0.2.1'), 401);
      assert.equal(await from('192.0.2.2'), 401);
      assert.equal(await from('192.0.2.1'), 429);
      assert.equal(await from('::ffff:192.0.2.2'), 429);
      assert.equal(await from('2001:db8:1:2::1'), 401);
      assert.equal(await from('2001:db8:1:2:ffff::2'), 429);
      assert.equal(await from('2001:db8:1:3::1'), 401);
    });
  });

  it('does not let a sender choose its address where no proxy is trusted', async () => {
    await withIngress({ limits: { perMinute: 1 } }, async ({ post }) => {
      assert.equal((await post(github, '{}', { ...json, 'X-Forwarded-For': '192.0.2.1' })).status, 401);
      assert.equal((await post(github, '{}', { ...json, 'X-Forwarded-For': '192.0.2.2' })).status, 429);
    });
  });

  it('does not read the body of a request that it refuses', async () => {
    await withIngress({ limits: { perMinute: 1 } }, async ({ port }) => {
      const announce = `POST ${github} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nConnection: close\r\n`;
      assert.match(await converse(port, `${announce}\r\n`), /^HTTP\/1\.1 401 /);
      const heard = await converse(port, `${announce}Expect: 100-continue\r\n\r\n`);
      assert.match(heard, /^HTTP\/1\.1 429 /);
    });
  });

  it('tells more than so many requests at once to come back with 503, and takes more once one is done', async () => {
    const waiting: (() => void)[] = [];
    const acceptPushes: IngressOptions['acceptPushes'] = () => async () => {
      await new Promise<void>((resolve) => waiting.push(resolve));
      return { rollouts: [], resolving: [] };
    };
    const inWork = async (count: number): Promise<void> => {
      while (waiting.length < count) await new Promise(setImmediate);
    };
    // Of four one network has two, and one more once it is known.
    await withIngress({ limits: { inWork: 4 }, acceptPushes }, async ({ post, audited, url }) => {
      const send = (): Promise<Response> => post(distribution, onePush, { ...json, ...bearer(distributionToken) });
      const taken = [send(), send()];
      await inWork(2);
      const refused = await send();
      assert.match(refused.headers.get('Retry-After') ?? '', /^[1-9]\d*$/);
      await expectProblem(refused, 503, /Too many requests are in work/);
      assert.equal(audited().at(-1)?.outcome, 'limited');
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
      for (const finish of waiting.splice(0)) finish();
      for (const answer of await Promise.all(taken)) assert.equal(answer.status, 200);
      const next = send();
      await inWork(1);
      for (const finish of waiting) finish();
      assert.equal((await next).status, 200);
    });
  });

  it('keeps places for senders that have proven who they are before', async () => {
    let finish: () => void = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let waiting = 0;
    const acceptPushes: IngressOptions['acceptPushes'] = () => async () => {
      waiting += 1;
      if (waiting > 1) await finished;
      return { rollouts: [], resolving: [] };
    };
    await withIngress({ limits: { inWork: 8 }, acceptPushes, trustedProxies: ['127.0.0.1'] }, async ({ post }) => {
      const send = (address: string): Promise<Response> =>
        post(distribution, onePush, { ...json, ...bearer(distributionToken), 'X-Forwarded-For': address });
      assert.equal((await send('192.0.2.1')).status, 200);
      const strangers = Array.from({ length: 6 }, (_, index) => send(`198.51.100.${index}`));
      await eventually('all places but those that are kept to be taken', async () => waiting === 7);
      assert.equal((await send('203.0.113.1')).status, 503);
      const known = send('192.0.2.1');
      await eventually('the known one to be in work', async () => waiting === 8);
      finish();
      for (const answer of await Promise.all([...strangers, known])) assert.equal(answer.status, 200);
    });
  });

  it('leaves places for others where one sender behind a proxy has many bodies that do not come', async () => {
    const options = { limits: { inWork: 16 }, trustedProxies: ['127.0.0.1'], bodyLimits: { bytes: 1024, timeoutMs: 20_000 } };
    await withIngress(options, async ({ post, port, audited }) => {
      const announce = `POST ${github} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-Forwarded-For: 192.0.2.66\r\nX-Hub-Signature-256: sha256=${'0'.repeat(64)}\r\n`;
      const slow = Array.from({ length: 40 }, () => connect(port, '127.0.0.1').on('error', () => undefined));
      for (const socket of slow) socket.write(`${announce}Content-Length: 9\r\n\r\n{`);
      // A quarter is kept for senders that are known, and one alone has half of the rest.
      await eventually('those above the share to be refused', async () => audited().length === 34);
      assert.ok(audited().every(({ outcome, remote_address }) => outcome === 'limited' && remote_address === '192.0.2.66'));
      const honest = { ...json, ...bearer(distributionToken), 'X-Forwarded-For': '192.0.2.1' };
      const answers = await Promise.all(Array.from({ length: 3 }, () => post(distribution, onePush, honest)));
      assert.deepEqual(
        answers.map(({ status }) => status),
        [200, 200, 200],
      );
      for (const socket of slow) socket.destroy();
    });
  });

  it('frees the place of a request that fails or whose sender goes away', async () => {
    const acceptPushes: IngressOptions['acceptPushes'] = () => async () => {
      throw new TypeError('a defect');
    };
    await withIngress(
      { limits: { inWork: 1 }, acceptPushes, bodyLimits: { bytes: 1024, timeoutMs: 100 } },
      async ({ post, port }) => {
        const proof = bearer(distributionToken);
        for (let sent = 0; sent < 3; sent += 1)
          assert.equal((await post(distribution, onePush, { ...json, ...proof })).status, 500);
        const head = `POST ${distribution} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: ${proof.Authorization}\r\n`;
        for (let sent = 0; sent < 2; sent += 1)
          assert.match(await converse(port, `${head}Content-Length: 9\r\n\r\n{`), /^HTTP\/1\.1 408 /);
      },
    );
  });

  it('refuses more headers than anybody needs with 431, in place of passing over some', async () => {
    await withIngress({}, async ({ port, url }) => {
      const head = `POST ${github} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 0\r\nConnection: close\r\n`;
      assert.match(await converse(port, `${head}${'A: b\r\n'.repeat(90)}\r\n`), /^HTTP\/1\.1 401 /);
      assert.match(await converse(port, `${head}${'A: b\r\n'.repeat(100)}\r\n`), /^HTTP\/1\.1 431 .*at most 100 headers/s);
      assert.equal((await fetch(`${url}/healthz`)).status, 200);
    });
  });
});

describe('the minute of the guard', () => {
  it('begins with the first request, and its end is in Retry-After', async () => {
    let seconds = 1_000;
    const limits = { perMinute: 2, inWork: 1 };
    const send = sender(
      guard(limits, () => seconds * 1_000),
      () => '192.0.2.1',
    );
    const waits = async (): Promise<string | undefined> => {
      try {
        await send();
        return undefined;
      } catch (error) {
        assert.ok(error instanceof Problem);
        return error.headers['Retry-After'];
      }
    };
    assert.deepEqual([await waits(), await waits(), await waits()], [undefined, undefined, '60']);
    seconds += 20.5;
    assert.equal(await waits(), '40');
    seconds += 39.4;
    assert.equal(await waits(), '1');
    seconds += 0.1;
    assert.deepEqual([await waits(), await waits(), await waits()], [undefined, undefined, '60']);
  });
});

describe('the memory of the guard', () => {
  it('stays within its bounds, however many addresses there are', async () => {
    let address = 0;
    const addressOf = () => `2001:db8:${(address >>> 16).toString(16)}:${(address & 0xffff).toString(16)}::1`;
    const one = sender(guard({ perMinute: 1_000_000, inWork: 1 }), addressOf);
    const send = async (times: number): Promise<number> => {
      for (let sent = 0; sent < times; sent += 1) {
        address += 1;
        await one();
      }
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const before = await send(1_000);
    const after = await send(200_000);
    assert.ok(after - before < 25 * 1024 * 1024, `${Math.round((after - before) / 1024 / 1024)} MB more`);
  });
});

/** @returns sends one request through it, which nothing answers */
function sender(guarded: Middleware<RequestState>, addressOf: () => string): () => Promise<void> {
  const app = new Koa<RequestState>().use(identify([], { addressOf })).use(guarded);
  const [first, second] = app.middleware;
  assert.ok(first !== undefined && second !== undefined);
  const request = new IncomingMessage(new Socket());
  const context = app.createContext(request, new ServerResponse(request));
  return async () => void (await first(context, async () => void (await second(context, async () => undefined))));
}

async function withIngress(options: IngressOptions, use: (ingress: Ingress) => Promise<void>): Promise<void> {
  const ingress = await startIngress(options);
  try {
    await use(ingress);
  } finally {
    await ingress.listeners.stop();
  }
}

async function expectProblem(answer: Response, status: number, detail: RegExp): Promise<void> {
  assert.equal(answer.status, status);
  assert.equal(answer.headers.get('Content-Type'), 'application/problem+json');
  assert.match(((await answer.json()) as { detail: string }).detail, detail);
}
