import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { connect } from 'node:net';
import { pino } from 'pino';
import type { Log } from '../../src/domain/log.ts';
import { type ConnectionLimits, createListeners, type ListenerSettings, type Listeners } from '../../src/http/listeners.ts';
import { reservePort } from '../../src/platform/ports.ts';
import type { Receiver } from '../../src/sources/kit/source.ts';
import { githubSecret, startIngress } from '../api/support/ingress.ts';
import { converse } from '../api/support/raw-http.ts';
import { githubSignature } from '../api/support/vectors.ts';
import { eventually } from '../support/wait.ts';

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

  it('is cut off soon when nothing of the body comes at all', async () => {
    const ingress = await startIngress({ bodyLimits: { bytes: 1024, timeoutMs: 30_000, firstByteMs: 100 } });
    try {
      const heard = await converse(ingress.port, `${head}Content-Length: 10\r\n\r\n`);
      assert.match(heard, /^HTTP\/1\.1 408 .*Expected the first byte of the body within 0\.1 s/s);
      assert.equal(ingress.audited().at(-1)?.outcome, 'timed-out');
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('is not cut off when the body has come, but this process was busy', async () => {
    let isAwaited: () => void = () => {};
    const awaited = new Promise<void>((resolve) => {
      isAwaited = resolve;
    });
    const receiver: Receiver = {
      ...{ source: 'own', path: '/own', mediaTypes: ['application/json'], mediaTypeAdvice: '', challenge: 'Own' },
      authenticationAdvice: 'Expected nothing.',
      authenticate: async (_head, body) => {
        const reading = body();
        isAwaited();
        await reading;
        return { authentic: true };
      },
      parse: () => ({ event: 'none', deliveryId: '1', images: [] }),
    };
    const bodyLimits = { bytes: 1024, timeoutMs: 30_000, firstByteMs: 100 };
    const ingress = await startIngress({ bodyLimits, ownReceivers: [receiver] });
    try {
      const socket = connect(ingress.port, '127.0.0.1');
      const answered = once(socket.setEncoding('utf8'), 'data');
      socket.write('POST /own HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n');
      await awaited;
      socket.write('{}', () => busy(200));
      assert.match(String((await answered)[0]), /^HTTP\/1\.1 200 /);
      socket.destroy();
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('that sends nothing more of a body which nobody wants ends soon after the answer', async () => {
    const ingress = await startIngress();
    try {
      const begun = performance.now();
      const unsigned = head.replace(/X-Hub.*\r\n/, '');
      assert.match(await converse(ingress.port, `${unsigned}Content-Length: 10\r\n\r\n{`), /^HTTP\/1\.1 401 /);
      assert.ok(performance.now() - begun < 4_000);
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

describe('connections of one network', () => {
  it('are only a share of all, and those above it are reset, with the first of them in the log, by address', async () => {
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    const { listeners, port } = await listening((_request, response) => response.end(), { connections: 16 }, log);
    try {
      const sockets = Array.from({ length: 60 }, () => connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }));
      let cut = 0;
      const count = (): void => {
        cut += 1;
      };
      for (const socket of sockets) socket.on('error', () => undefined).on('close', count);
      // A quarter is kept for known networks, and one alone gets half of the rest.
      await eventually('those above the share to be cut off', async () => cut === 54);
      const other = await fetch(`http://127.0.0.1:${port}/`);
      assert.equal(other.status, 200);
      const told = lines.map((line) => JSON.parse(line) as { address?: string; msg: string });
      assert.deepEqual([told.length, told[0]?.address], [5, '127.0.0.2']);
      await eventually('the number of the others', async () => lines.length === 6);
      assert.match(lines[5] ?? '', /"omitted":49/);
      for (const socket of sockets) socket.destroy();
    } finally {
      await listeners.stop();
    }
  });

  it('are as many as there is room for where it is a trusted proxy', async () => {
    const { listeners, port } = await listening((_request, response) => response.end(), { connections: 16 }, silent, {
      isProxy: (address) => address === '127.0.0.1',
    });
    try {
      const sockets = Array.from({ length: 16 }, () => connect(port, '127.0.0.1'));
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      const answers = sockets.map((socket) => once(socket, 'data'));
      for (const socket of sockets) socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      assert.equal((await Promise.all(answers)).length, 16);
      for (const socket of sockets) socket.destroy();
    } finally {
      await listeners.stop();
    }
  });

  it('that are no HTTP are thinned in the log', async () => {
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    const { listeners, port } = await listening((_request, response) => response.end(), {}, log);
    try {
      for (let sent = 0; sent < 20; sent += 1) await converse(port, 'nonsense\r\n\r\n');
      assert.ok(lines.length >= 5 && lines.length < 20, `${lines.length} lines`);
      assert.match(lines[0] ?? '', /"address":"127\.0\.0\.1".*a connection was refused/);
    } finally {
      await listeners.stop();
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
  log: Log = silent,
  settings: Pick<ListenerSettings, 'isProxy'> = {},
): Promise<{ listeners: Listeners; port: number }> {
  const listeners = createListeners([{ name: 'listen.webhooks', handler, host: '127.0.0.1', port: 0, ...settings }], log, limits);
  const [address] = await listeners.start();
  assert.ok(address !== undefined);
  return { listeners, port: address.port };
}

function busy(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}
