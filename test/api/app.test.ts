import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { parseJson } from '../../src/http/body.ts';
import { distributionToken, githubSecret, type Ingress, oldGithubSecret, startIngress } from './support/ingress.ts';
import { converse } from './support/raw-http.ts';
import { bearer, githubSignature, smallestGithubEvent, vectorsOf } from './support/vectors.ts';

const github = '/webhook/image-published';
const distribution = '/webhook/distribution';
const mebibyte = 1024 * 1024;
/** Without one, the head alone is refused, and no byte of the body counts. */
const plausible = `X-Hub-Signature-256: ${githubSignature(githubSecret, '')['X-Hub-Signature-256']}`;

describe('the webhook listener', () => {
  let ingress: Ingress;
  before(async () => {
    ingress = await startIngress();
  });
  after(async () => {
    await ingress.listeners.stop();
  });
  afterEach('is still up', async () => {
    assert.equal((await fetch(`${ingress.url}/healthz`)).status, 200);
  });

  const ping = async (body: string | Buffer, headers: Record<string, string> = {}): Promise<Response> =>
    await ingress.post(github, body, {
      'Content-Type': 'application/json',
      'X-GitHub-Event': 'ping',
      ...githubSignature(githubSecret, body),
      ...headers,
    });

  it('acknowledges a ping and says that nothing is started', async () => {
    const answer = await ping('{}');
    assert.equal(answer.status, 200);
    assert.match(((await answer.json()) as { ignored: string }).ignored, /ping/);
  });

  it('keeps every answer from caches and from being taken for another type, whoever wrote it', async () => {
    const answers = await Promise.all([
      fetch(`${ingress.url}/healthz`),
      ping('{}'),
      ping('{}', githubSignature('another', '{}')),
      ingress.post('/nowhere', '{}', {}),
      fetch(`${ingress.url}${github}`),
      fetch(`${ingress.url}${github}`, { method: 'HEAD' }),
    ]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 401, 404, 405, 405],
    );
    for (const { headers } of answers) {
      assert.deepEqual([headers.get('Cache-Control'), headers.get('X-Content-Type-Options')], ['no-store', 'nosniff']);
    }
    const texts = await Promise.all(answers.map((answer) => answer.text()));
    assert.equal(texts.at(-1), '');
    for (const [index, { headers }] of answers.slice(0, -1).entries()) {
      assert.equal(Number(headers.get('Content-Length')), Buffer.byteLength(texts[index] ?? ''));
    }
    assert.equal(answers[4]?.headers.get('Allow'), 'POST');
  });

  it('takes a request that is signed with the old secret while both are configured', async () => {
    assert.equal((await ping('{}', githubSignature(oldGithubSecret, '{}'))).status, 200);
    await expectProblem(await ping('{}', githubSignature('another', '{}')), 401, /X-Hub-Signature-256/);
  });

  for (const { name, raw, headers } of vectorsOf('github')) {
    it(`refuses github/${name} unsigned or wrongly signed with 401`, async () => {
      await expectProblem(await ingress.post(github, raw, headers), 401, /X-Hub-Signature-256/);
      const wrong = await ingress.post(github, raw, { ...headers, ...githubSignature('wrong', raw) });
      assert.match(wrong.headers.get('WWW-Authenticate') ?? '', /^HMAC-SHA256/);
      await expectProblem(wrong, 401, /X-Hub-Signature-256/);
      const changed = await ingress.post(github, `${raw} `, { ...headers, ...githubSignature(githubSecret, raw) });
      await expectProblem(changed, 401, /X-Hub-Signature-256/);
    });
  }

  for (const { name, raw, headers } of vectorsOf('distribution')) {
    it(`refuses distribution/${name} without its token or with a wrong one with 401`, async () => {
      const { Authorization: _, ...open } = headers;
      await expectProblem(await ingress.post(distribution, raw, open), 401, /bearer token/);
      const wrong = await ingress.post(distribution, raw, { ...open, ...bearer('wrong') });
      assert.match(wrong.headers.get('WWW-Authenticate') ?? '', /^Bearer/);
      await expectProblem(wrong, 401, /bearer token/);
    });
  }

  it('writes nothing down that an unauthenticated sender says', async () => {
    const headers = {
      'Content-Type': 'application/json',
      'X-GitHub-Event': 'forged-event',
      'X-GitHub-Delivery': 'forged-delivery',
    };
    await ingress.post(`${github}?secret=forged-query`, JSON.stringify({ action: 'forged-action' }), headers);
    assert.equal(ingress.audited().at(-1)?.outcome, 'unauthenticated');
    assert.doesNotMatch(ingress.written(), /forged/);
  });

  it('takes 1 MiB, and refuses one byte more with 413', async () => {
    assert.equal((await ping(`{"padding":"${'x'.repeat(mebibyte - 14)}"}`)).status, 200);
    await expectProblem(await ping(`{"padding":"${'x'.repeat(mebibyte - 13)}"}`), 413, /at most 1048576 bytes/);
  });

  it('counts the bytes of a body that announces no length', async () => {
    const answer = await streamed(ingress, 3 * mebibyte);
    assert.equal(answer.statusCode, 413);
  });

  it('cuts off who goes on sending after the 413', async () => {
    const socket = connect(ingress.port, '127.0.0.1');
    const head = `POST ${github} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n${plausible}\r\n`;
    socket.write(`${head}Content-Length: ${200 * mebibyte}\r\n\r\n`);
    const [answer] = (await once(socket, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 413 /);
    let closed = false;
    const block = Buffer.alloc(64 * 1024, 0x20);
    const ended = new Promise<void>((resolve) => {
      // Being cut off may come as a reset.
      socket
        .on('error', (error: NodeJS.ErrnoException) => assert.match(error.code ?? '', /ECONNRESET|EPIPE/))
        .on('close', () => {
          closed = true;
          resolve();
        });
    });
    const send = (): void => {
      if (closed || socket.bytesWritten > 100 * mebibyte) socket.destroy();
      else if (socket.write(block)) setImmediate(send);
      else socket.once('drain', send);
    };
    send();
    await ended;
    assert.ok(socket.bytesWritten < 50 * mebibyte, `${socket.bytesWritten} bytes were taken`);
  });

  it('does not ask for a body that is announced as too large', async () => {
    const { request, response } = openRequest(ingress, {
      ...githubSignature(githubSecret, ''),
      'Content-Length': String(2 * mebibyte),
      Expect: '100-continue',
    });
    let asked = false;
    request.on('continue', () => {
      asked = true;
    });
    request.flushHeaders();
    assert.equal((await response).statusCode, 413);
    assert.equal(asked, false);
    request.destroy();
  });

  it('asks for a body of decent size when the sender waits to be asked', async () => {
    const headers = {
      'Content-Length': '2',
      Expect: '100-continue',
      'X-GitHub-Event': 'ping',
      ...githubSignature(githubSecret, '{}'),
    };
    const { request, response } = openRequest(ingress, headers);
    request.on('continue', () => request.end('{}'));
    request.flushHeaders();
    assert.equal((await response).statusCode, 200);
  });

  for (const [what, body] of [
    ['text', 'not JSON'],
    ['nothing', ''],
    ['JSON with something after it', '{} {}'],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
  ] as const) {
    it(`refuses ${what} with 400`, async () => {
      await expectProblem(await ping(body), 400, /JSON in UTF-8/);
    });
  }

  for (const [what, body] of [
    ['a mebibyte of open brackets', '['.repeat(mebibyte)],
    ['100,000 balanced levels of objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['65 levels', `${'['.repeat(65)}${']'.repeat(65)}`],
  ] as const) {
    it(`refuses ${what} with 400`, async () => {
      await expectProblem(await ping(body), 400, /at most 64 nested levels/);
    });
  }

  it('does not count brackets in strings as levels', () => {
    const text = `[{\\"${'[{'.repeat(100)}`;
    assert.deepEqual(parseJson(Buffer.from(`{"a":"${text}"}`)), { a: JSON.parse(`"${text}"`) });
  });

  it('is not harmed by keys that mean something to JavaScript', async () => {
    const body = `{"__proto__":{"package":{},"polluted":1},"constructor":{"prototype":{"polluted":1}},"action":"published"}`;
    const answer = await ping(body, { 'X-GitHub-Event': 'package' });
    await expectProblem(answer, 400, /Expected the published package/);
    assert.equal('polluted' in {}, false);
  });

  it('refuses a form with 415 and says what to choose instead', async () => {
    const body = `payload=${encodeURIComponent(JSON.stringify(smallestGithubEvent))}`;
    const answer = await ping(body, { 'Content-Type': 'application/x-www-form-urlencoded' });
    await expectProblem(answer, 415, /Choose the content type application\/json in the settings of the webhook/);
  });

  it('refuses other media types, charsets and encodings with 415', async () => {
    await expectProblem(await ping('{}', { 'Content-Type': 'text/plain' }), 415, /application\/json/);
    await expectProblem(await ping('{}', { 'Content-Type': 'application/jsonp' }), 415, /application\/json/);
    await expectProblem(await ping('{}', { 'Content-Type': 'application/json; charset=latin1' }), 415, /utf-8/);
    const compressed = await ping('{}', { 'Content-Encoding': 'gzip' });
    assert.equal(compressed.headers.get('Accept-Encoding'), 'identity');
    await expectProblem(compressed, 415, /uncompressed/);
    assert.equal((await ping('{}', { 'Content-Type': 'Application/JSON; charset="UTF-8"' })).status, 200);
  });

  it('answers another method with 405 and the one that is taken, and another path with 404', async () => {
    for (const method of ['GET', 'PUT', 'DELETE', 'PROPFIND']) {
      const answer = await fetch(`${ingress.url}${github}`, { method });
      assert.equal(answer.headers.get('Allow'), 'POST', method);
      await expectProblem(answer, 405, /does not take this method/);
    }
    await expectProblem(await fetch(`${ingress.url}/webhook/none`, { method: 'POST' }), 404, /nothing at this path/);
    await expectProblem(await fetch(`${ingress.url}/metrics`), 404, /nothing at this path/);
  });

  it('leaves one audit line for every request, refused or not, and counts it', async () => {
    const before = ingress.audited().length;
    await ping('{}', { 'X-GitHub-Delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958' });
    await ping('no JSON');
    await fetch(`${ingress.url}/webhook/none`, { method: 'POST' });
    const lines = ingress.audited().slice(before);
    assert.deepEqual(
      lines.map(({ source, outcome, status }) => [source, outcome, status]),
      [
        ['github', 'ignored', 200],
        ['github', 'malformed', 400],
        ['none', 'not-found', 404],
      ],
    );
    assert.equal(lines[0]?.event_type, 'webhook_received');
    assert.equal(lines[0]?.delivery, '72d3162e-cc78-11e3-81ab-4c9367dc0958');
    assert.equal(lines[0]?.event, 'ping');
    assert.match(lines[0]?.ignored ?? '', /ping/);
    assert.equal(lines[0]?.remote_address, '127.0.0.1');
    assert.ok((lines[0]?.duration_ms ?? -1) >= 0);
    assert.ok(Date.parse(lines[0]?.timestamp ?? '') > 0);
    const figures = await (await fetch(`${ingress.operatorsUrl}/metrics`)).text();
    assert.match(figures, /landfall_webhook_requests_total\{source="none",outcome="not-found"\} \d/);
    assert.match(figures, /landfall_webhook_duration_seconds_bucket\{le="0.005",source="github"\} \d/);
    assert.match(figures, /process_cpu_seconds_total \d/);
  });

  it('counts pulls and mounts that a registry tells of, and leaves them out of the audit log', async () => {
    const headers = { 'Content-Type': 'application/vnd.docker.distribution.events.v1+json', ...bearer(distributionToken) };
    const pulled = { ...tagged('127.0.0.1:5055', 'team/app', '1.0'), action: 'pull' };
    const before = ingress.audited().length;
    const answer = await ingress.post(distribution, JSON.stringify({ events: [pulled, pulled] }), headers);
    assert.equal(answer.status, 200);
    assert.equal(ingress.audited().length, before);
    const figures = await (await fetch(`${ingress.operatorsUrl}/metrics`)).text();
    assert.match(figures, /^landfall_registry_events_total\{source="distribution",event="pull"\} 2$/m);
    assert.match(figures, /^landfall_webhook_requests_total\{source="distribution",outcome="ignored"\} \d/m);
    await ingress.post(distribution, JSON.stringify({ events: [{ ...pulled, action: 'delete' }, pulled] }), headers);
    assert.equal(ingress.audited().length, before + 1);
  });

  it('names an unfollowed image in its answer', async () => {
    const body = JSON.stringify({ events: [tagged('127.0.0.1:5055', 'team/app', '1.0')] });
    const headers = { 'Content-Type': 'application/vnd.docker.distribution.events.v1+json', ...bearer(distributionToken) };
    const answer = await ingress.post(distribution, body, headers);
    assert.equal(answer.status, 200);
    assert.deepEqual(await answer.json(), { ignored: 'no service follows 127.0.0.1:5055/team/app:1.0' });
    assert.equal(ingress.audited().at(-1)?.image, '127.0.0.1:5055/team/app');
  });
});

describe('the listeners of one configuration', () => {
  it('counts the bytes of a small body that has come with its head as well', async () => {
    const ingress = await startIngress({ bodyLimits: { bytes: 10, timeoutMs: 1_000 } });
    const inOne = async (chunk: string): Promise<string> => {
      const head = `POST ${github} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n${plausible}\r\n`;
      return await converse(ingress.port, `${head}Transfer-Encoding: chunked\r\n\r\n${chunk}\r\n0\r\n\r\n`);
    };
    try {
      // Read whole, and not what was signed.
      assert.match(await inOne('a\r\n1234567890'), /^HTTP\/1\.1 401 /);
      assert.match(await inOne('b\r\n12345678901'), /^HTTP\/1\.1 413 /);
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('has no path for a receiver that is not configured', async () => {
    const ingress = await startIngress({ receivers: { distribution: { token: ['env:DISTRIBUTION_TOKEN'] } } });
    try {
      const answer = await ingress.post(github, '{}', {
        'Content-Type': 'application/json',
        ...githubSignature(githubSecret, '{}'),
      });
      await expectProblem(answer, 404, /nothing at this path/);
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('answers a defect of ours with a 500 that tells nothing, and logs it whole', async () => {
    const ingress = await startIngress({
      acceptPushes: () => async () => {
        throw new TypeError('internal detail');
      },
    });
    try {
      const raw = JSON.stringify(smallestGithubEvent);
      const headers = { 'Content-Type': 'application/json', 'X-GitHub-Event': 'registry_package' };
      const answer = await ingress.post(github, raw, { ...headers, ...githubSignature(githubSecret, raw) });
      const detail = await expectProblem(answer, 500, /went wrong here/);
      assert.doesNotMatch(detail, /internal detail/);
      assert.match(ingress.written(), /TypeError: internal detail/);
      assert.equal(ingress.audited().at(-1)?.outcome, 'failed');
    } finally {
      await ingress.listeners.stop();
    }
  });

  it('is ready only while Temporal answers', async () => {
    let reachable = true;
    const ingress = await startIngress({
      reachTemporal: async () => {
        if (!reachable) throw new Error('connection refused');
      },
    });
    try {
      assert.equal((await fetch(`${ingress.operatorsUrl}/readyz`)).status, 200);
      reachable = false;
      await expectProblem(await fetch(`${ingress.operatorsUrl}/readyz`), 503, /Temporal does not answer/);
      assert.equal((await fetch(`${ingress.operatorsUrl}/healthz`)).status, 200);
      await expectProblem(await fetch(`${ingress.operatorsUrl}/readyz`, { method: 'POST' }), 405, /method/);
    } finally {
      await ingress.listeners.stop();
    }
  });
});

function tagged(host: string, repository: string, tag: string): object {
  return { action: 'push', target: { repository, tag }, request: { host } };
}

async function expectProblem(answer: Response, status: number, detail: RegExp): Promise<string> {
  assert.equal(answer.status, status);
  assert.equal(answer.headers.get('Content-Type'), 'application/problem+json');
  const document = (await answer.json()) as Record<string, unknown>;
  assert.deepEqual(Object.keys(document), ['type', 'title', 'status', 'detail']);
  assert.equal(document.status, status);
  assert.match(String(document.detail), detail);
  return String(document.detail);
}

function openRequest(
  ingress: Ingress,
  headers: Record<string, string>,
): { request: ClientRequest; response: Promise<IncomingMessage> } {
  const request = httpRequest(`${ingress.url}${github}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
  });
  const response = once(request, 'response').then(([message]) => {
    (message as IncomingMessage).resume();
    return message as IncomingMessage;
  });
  return { request, response };
}

async function streamed(ingress: Ingress, bytes: number): Promise<IncomingMessage> {
  const { request, response } = openRequest(ingress, {
    ...githubSignature(githubSecret, ''),
    'Transfer-Encoding': 'chunked',
  });
  request.end(Buffer.alloc(bytes, 0x20));
  return await response;
}
