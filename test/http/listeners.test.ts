import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { connect } from 'node:net';
import { pino } from 'pino';
import { type ConnectionLimits, createListeners, type Listeners } from '../../src/http/listeners.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { githubSecret, startIngress } from '../api/support/ingress.ts';
import { converse } from '../api/support/raw-http.ts';
import { githubSignature } from '../api/support/vectors.ts';

const silent = pino({ level: 'silent' });
const { 'X-Hub-Signature-256': ofNothing } = githubSignature(githubSecret, '');
/** With a signature, so that the body is read at all. */
const head =
  'POST /webhook/image-published HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n' +
  `X-Hub-Signature-256: ${ofNothing}\r\n`;

describe('a connection', () => {
  it('is cut off with 408 when the headers do not come', async () => {
    const ingress = await startIngress({ limits: { headersTimeoutMs: 200 } });
    try {
      assert.match(await converse(ingress.port, 'POST / HTTP/1.1\r\nHost: x\r\n'), /^HTTP\/1\.1 408 .*problem\+json/s);
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('is cut off with 408 when the body does not come, and the request is audited', async () => {
    const ingress = await startIngress({ bodyLimits: { bytes: 1024, timeoutMs: 200 } });
    try {
      const heard = await converse(ingress.port, `${head}Content-Length: 10\r\n\r\n{`);
      assert.match(heard, /^HTTP\/1\.1 408 .*Expected the whole body within 0\.2 s/s);
      assert.equal(ingress.audited().at(-1)?.outcome, 'timed-out');
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('that trickles one byte after another is cut off all the same', async () => {
    const ingress = await startIngress({ bodyLimits: { bytes: 1024, timeoutMs: 300 } });
    try {
      const socket = connect(ingress.port, '127.0.0.1');
      let heard = '';
      socket.setEncoding('utf8').on('data', (text: string) => {
        heard += text;
      });
      socket.on('error', (error) => {
        heard += error.message;
      });
      socket.write(`${head}Content-Length: 1000\r\n\r\n`);
      const trickle = setInterval(() => socket.write(' '), 20);
      await once(socket, 'close');
      clearInterval(trickle);
      assert.match(heard, /^HTTP\/1\.1 408 /);
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('that ends in the middle of a body leaves an audit line', async () => {
    const ingress = await startIngress();
    try {
      const socket = connect(ingress.port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(`${head}Content-Length: 10\r\n\r\n{`, () => socket.resetAndDestroy());
      await once(socket, 'close');
      while (ingress.audited().length === 0) await new Promise(setImmediate);
      assert.deepEqual(
        ingress.audited().map(({ outcome }) => outcome),
        ['aborted'],
      );
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('is refused with 431 for headers that are too long, and with 400 for what is no HTTP or frames a body twice', async () => {
    const ingress = await startIngress();
    try {
      assert.match(await converse(ingress.port, `${head}X-Long: ${'x'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
      assert.match(await converse(ingress.port, '\x16\x03\x01 not HTTP\r\n\r\n'), /^HTTP\/1\.1 400 /);
      const twice = `${head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}`;
      assert.match(await converse(ingress.port, twice), /^HTTP\/1\.1 400 .*problem\+json/s);
      const differing = `${head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`;
      assert.match(await converse(ingress.port, differing), /^HTTP\/1\.1 400 /);
    } finally {
      await ingress.listeners.stop();
    }
  });

  for (const [what, framing] of [
    ['two lengths that differ', 'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    ['one length twice', 'Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}'],
    ['a list of lengths', 'Content-Length: 2, 2\r\n\r\n{}'],
    ['a length and chunks', 'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a length with a sign', 'Content-Length: +2\r\n\r\n{}'],
    ['a length below zero', 'Content-Length: -2\r\n\r\n{}'],
    ['a length beyond all bounds', `Content-Length: ${'9'.repeat(30)}\r\n\r\n{}`],
    ['chunks that are not last', 'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
    ['an encoding that is not known', 'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['a blank before the colon', 'Content-Length : 2\r\n\r\n{}'],
    ['a folded header', 'X-Folded: a\r\n Content-Length: 2\r\nTransfer-Encoding:\r\n chunked\r\n\r\nz'],
    ['a line end of one byte', 'X-A: b\nContent-Length: 2\r\n\r\n{}'],
    ['a zero byte in a header', 'X-A: b\0c\r\nContent-Length: 2\r\n\r\n{}'],
    ['a chunk of no length', 'Transfer-Encoding: chunked\r\n\r\nz\r\n'],
  ] as const) {
    it(`whose request has ${what} is refused with 400, and nothing after it is taken for a request`, async () => {
      const ingress = await startIngress();
      try {
        const smuggled = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
        const heard = await converse(ingress.port, `${head}${framing}${smuggled}`);
        assert.deepEqual(heard.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 400']);
        assert.ok(ingress.audited().every(({ outcome }) => outcome !== 'accepted'));
      } finally {
        await ingress.listeners.stop();
      }
    });
  }

  it('that sends more than it announced ends with 400', async () => {
    const ingress = await startIngress();
    try {
      const { 'X-Hub-Signature-256': signature } = githubSignature(githubSecret, '{}');
      const signed = head.replace(ofNothing ?? '', signature ?? '');
      const headers = `${signed}X-GitHub-Event: ping\r\nContent-Length: 2\r\n\r\n`;
      const heard = await converse(ingress.port, `${headers}{}{"more": "than announced"}\r\n\r\n`);
      assert.equal(heard.match(/HTTP\/1\.1 \d+/g)?.at(-1), 'HTTP/1.1 400');
    } finally {
      await ingress.listeners.stop();
    }
  });
});

describe('the listeners', () => {
  it('finish what is in work before they stop, and take nothing new', async () => {
    let finish: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let answer: () => void = () => {};
    const { listeners, port } = await listening((_request, response) => {
      answer = () => response.end('done');
      finish();
    });
    const pending = fetch(`http://127.0.0.1:${port}/`);
    await arrived;
    const stopped = listeners.stop();
    const refused = connect(port, '127.0.0.1');
    const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    const begun = Date.now();
    answer();
    assert.equal(await (await pending).text(), 'done');
    await stopped;
    // Its connection is not kept alive for another request, which would take 5 s.
    assert.ok(Date.now() - begun < 3_000);
  });

  it('cut off what does not finish within the grace time', async () => {
    let arrive: () => void = () => {};
    const arrived = new Promise<void>((resolve) => {
      arrive = resolve;
    });
    const { listeners, port } = await listening(() => arrive(), { graceMs: 100 });
    const pending = assert.rejects(fetch(`http://127.0.0.1:${port}/`));
    await arrived;
    await listeners.stop();
    await pending;
  });

  it('close connections that are kept alive at once', async () => {
    const { listeners, port } = await listening((_request, response) => response.end('done'), { graceMs: 60_000 });
    await (await fetch(`http://127.0.0.1:${port}/`)).text();
    const begun = Date.now();
    await listeners.stop();
    assert.ok(Date.now() - begun < 4_000);
  });

  it('name the setting of the one whose port is taken, and leave none behind', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const address = other.address();
    assert.ok(address !== null && typeof address !== 'string');
    const handler: RequestListener = (_request, response) => response.end();
    const first = await reservePort();
    const listeners = createListeners(
      [
        { name: 'listen.webhooks', handler, host: '127.0.0.1', port: first },
        { name: 'listen.operators', handler, host: '127.0.0.1', port: address.port },
      ],
      silent,
    );
    await assert.rejects(
      listeners.start(),
      /^Error: listen\.operators: cannot listen on 127\.0\.0\.1:\d+ .*EADDRINUSE.*choose another/,
    );
    const [error] = (await once(connect(first, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    other.close();
    await once(other, 'close');
  });
});

async function listening(
  handler: RequestListener,
  limits: Partial<ConnectionLimits> = {},
): Promise<{ listeners: Listeners; port: number }> {
  const listeners = createListeners([{ name: 'listen.webhooks', handler, host: '127.0.0.1', port: 0 }], silent, limits);
  const [address] = await listeners.start();
  assert.ok(address !== undefined);
  return { listeners, port: address.port };
}
