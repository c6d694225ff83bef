import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { createWebhookApp } from '../../src/api/index.ts';
import { createSenders } from '../../src/api/webhooks/senders.ts';
import type { Configuration } from '../../src/config/configuration.ts';
import { parseRepository, type Tag } from '../../src/domain/image-reference.ts';
import { masked } from '../../src/domain/inert-text.ts';
import { reservePort } from '../../src/platform/ports.ts';
import { Registry } from '../../src/platform/registry/registry.ts';
import { connectGitHub } from '../../src/process/dependencies.ts';
import { type Logging, openLogging } from '../../src/process/logging.ts';
import { sources } from '../../src/sources/index.ts';
import { byPathOrHeader } from '../../src/sources/kit/authentication.ts';
import { createReceivers, type Receiver } from '../../src/sources/kit/source.ts';
import { createMask } from '../../src/telemetry/mask.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { load } from '../config/support.ts';
import { eventually } from '../support/wait.ts';

describe('the mask of secrets', () => {
  const pem = ['-----BEGIN PRIVATE KEY-----', 'TUlJ'.repeat(16), 'QUFB'.repeat(16), '-----END PRIVATE KEY-----'].join('\n');
  const maskOf = (...secrets: string[]) => {
    const mask = createMask();
    for (const secret of secrets) mask.add(secret);
    return mask;
  };

  const odd = 'p"ä ss\\w/or+d%';
  const forms: Readonly<Record<string, string>> = {
    'as it is': odd,
    'in JSON': JSON.stringify({ odd }),
    'in JSON in JSON': JSON.stringify({ message: JSON.stringify({ odd }) }),
    'in a URL': `/a/${encodeURIComponent(odd)}?x`,
    'in a URL, with small letters': `/a/${encodeURIComponent(odd).replace(/%../g, (code) => code.toLowerCase())}`,
    'in a form': new URLSearchParams({ odd }).toString().replace(/%2B/g, '%2B'),
    'in Base64': Buffer.from(odd).toString('base64'),
    'behind one letter in Base64': Buffer.from(`a${odd}`).toString('base64'),
    'behind a user name in Base64': Buffer.from(`ab${odd}z`).toString('base64'),
    'in Base64 for URLs': Buffer.from(`??${odd}`).toString('base64url'),
  };
  for (const [how, text] of Object.entries(forms)) {
    it(`finds a secret ${how}`, () => {
      const shown = maskOf(odd)(text);
      assert.ok(shown.includes(masked), shown);
      const inBase64 = ['', 'a', 'ab'].map((before) =>
        Buffer.from(before + odd)
          .toString('base64')
          .slice(8, 16),
      );
      for (const part of ['ss\\w', 'or+d', 'or%2', ...inBase64]) assert.ok(!shown.includes(part), shown);
    });
  }

  it('finds each line of a key, and what a URL has that is secret', () => {
    const mask = maskOf(
      pem,
      'https://hooks.example.org/services/T0/B0/abcdefghij?x=y',
      'smtp://ann:pass%21word@mail.example.org:587',
    );
    for (const line of pem.split('\n').slice(1, 3)) assert.equal(mask(`x ${line} y`), `x ${masked} y`);
    assert.equal(mask(JSON.stringify(pem)), `"${masked}"`);
    assert.equal(mask('POST /services/T0/B0/abcdefghij'), `POST ${masked}`);
    assert.equal(mask('pass!word pass%21word'), `${masked} ${masked}`);
    assert.equal(mask('mail.example.org ann'), 'mail.example.org ann');
  });

  it('replaces every occurrence, at both ends too, and the longest where one begins like another', () => {
    const mask = maskOf('secret', 'secret-of-ann');
    assert.equal(mask('secret-of-ann, secret-of-bob, xsecretsecret'), `${masked}, ${masked}-of-bob, x${masked}${masked}`);
    assert.equal(mask('secret'), masked);
    assert.equal(mask('secre'), 'secre');
    assert.equal(mask(''), '');
  });

  it('knows tokens by their looks, which nobody has told it', () => {
    const token = `eyJhbGciOiJSUzI1NiJ9.${'eyJhIjoxfQ'}.c2lnbmF0dXJl`;
    for (const secret of [`ghp_${'a1'.repeat(18)}`, `github_pat_${'a1'.repeat(20)}`, `ghs_${'B2'.repeat(18)}`, token]) {
      assert.equal(createMask()(`a ${secret}, b`), `a ${masked}, b`);
    }
    assert.equal(createMask()('Authorization: Bearer abc123def456'), `Authorization: ${masked}`);
    assert.equal(
      createMask()('git clone https://ann:hunter2@git.example.org/x'),
      `git clone https://ann:${masked}@git.example.org/x`,
    );
  });

  it('leaves what is no secret as it is', () => {
    const mask = maskOf('short', 'hunter22');
    for (const text of [
      'short: verify sha256:0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0 at ghcr.io/team/web:1.2.3',
      'expected Basic authentication or Bearer authentication, found neither',
      'commit 0123456789abcdef0123456789abcdef01234567, https://github.com/team/web/pull/7',
      '{"level":30,"time":1767323045678,"msg":"rollout:web:latest:0123456789ab"}',
    ]) {
      assert.equal(mask(text), text);
    }
  });

  it('forgets only the oldest of very many', () => {
    const mask = createMask();
    for (let count = 0; count < 5_000; count += 1) mask.add(`${count}-rotated-secret`);
    assert.equal(mask('4999-rotated-secret 4000-rotated-secret'), `${masked} ${masked}`);
  });

  it('costs microseconds a line with 50 secrets, and no more for lines made to be slow', () => {
    const mask = maskOf(...Array.from({ length: 50 }, (_, index) => `${index}-${'s3cret'.repeat(6)}-${index * 7919}`));
    const line = '{"level":30,"time":1767323045678,"rollout":"rollout:web:latest:0123456789ab","msg":"nothing new"}\n'.repeat(3);
    const timeOf = (text: string, times: number): number => {
      const begun = performance.now();
      for (let count = 0; count < times; count += 1) mask(text);
      return performance.now() - begun;
    };
    timeOf(line, 5_000);
    assert.ok(timeOf(line, 10_000) < 1_000, 'less than 100 µs');
    for (const evil of ['://a:', 'eyJa', 'Bearer ', '0-s3cret', 'ghp_', '://', 'landfall_']) {
      assert.ok(timeOf(evil.repeat(50_000), 1) < 1_000, evil);
    }
  });
});

const canaries = {
  WEBHOOK_SECRET: 'canary-hmac-5d1f"x\\y',
  HOOK_TOKEN: 'canary bearer/7a+b',
  PATH_TOKEN: 'canary-path-92c4',
  GH_PAT: 'canary-github-pat-0192837465',
  REGISTRY_PASSWORD: 'canary-registry-password',
  LOG_ENDPOINT: 'http://127.0.0.1:1/collect/canary-endpoint-2387',
};

describe('what a process writes at level debug', function () {
  this.timeout(30_000);
  let folder: string;
  let written: string[];
  let logging: Logging;
  let configuration: Configuration;
  let outside: Server;
  let host: string;
  let seen: string[];
  const env = { ...canaries, REGISTRY_USER: 'pitchconnect', UNNAMED_API_KEY: 'canary-nobody-refers-to-this' };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-debug-'));
    await writeFile(join(folder, 'secret.txt'), 'canary-in-a-file-1\n');
    seen = [];
    outside = createServer((request, response) => {
      seen.push(`${request.url} ${request.headers.authorization ?? ''}`);
      if (request.url?.startsWith('/token')) return void response.end(JSON.stringify({ token: 'canary-issued-token' }));
      if (request.url?.startsWith('/api/v3/repos/'))
        return void response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ said: 'taken' }));
      if (request.url?.startsWith('/api/')) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
      if (request.headers.authorization === 'Bearer canary-issued-token')
        return void response.writeHead(404, { 'docker-distribution-api-version': 'registry/2.0' }).end();
      const challenge = `Bearer realm="http://${host}/token",service="registry"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    }).listen(0, '127.0.0.1');
    await once(outside, 'listening');
    host = `127.0.0.1:${(outside.address() as AddressInfo).port}`;
    configuration = load(
      `
receivers:
  github: { secrets: [env:WEBHOOK_SECRET, "file:${folder}/secret.txt"] }
  distribution: { token: env:HOOK_TOKEN }
registries: { "${host}": { username: env:REGISTRY_USER, password: env:REGISTRY_PASSWORD, plainHttp: true } }
forge: { github: { token: env:GH_PAT, url: "http://${host}/api/v3" } }
audit: { file: ${folder}/audit.jsonl, endpoint: env:LOG_ENDPOINT }
log: { level: trace }
`,
      env,
    );
    written = [];
    logging = openLogging(
      configuration,
      { ...env, PATH_TOKEN: canaries.PATH_TOKEN },
      {
        stdout: { write: (line) => written.push(line) },
      },
    );
  });
  afterEach(async () => {
    outside.closeAllConnections();
    outside.close();
    await logging.close();
    await rm(folder, { recursive: true });
  });

  const read = (name: string): Promise<string> => readFile(join(folder, `${name}.jsonl`), 'utf8').catch(() => '');
  /** Everything that left the process: standard output, and the files of the audit log and of decisions. */
  const output = async (): Promise<string> =>
    [written.join(''), ...(await Promise.all(['audit', 'audit-decisions'].map(read)))].join('');
  const assertNoCanary = async (): Promise<void> => {
    const text = await output();
    const at = text.search(/canary|Y2FuYXJ5/);
    assert.equal(at, -1, text.slice(Math.max(0, at - 300), at + 100));
  };
  const headersOf = (entry: Record<string, unknown> | undefined) => entry?.headers as Record<string, string> | undefined;
  const logged = (message: string) =>
    written.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ msg }) => msg === message);

  /** The ingress, and a source whose secret is in its path. */
  const startIngress = async () => {
    const { log, audit, secrets } = logging;
    const [one] = createReceivers(sources, configuration.receivers, { secrets, directory: folder, log });
    assert.ok(one);
    const byPath: Receiver = {
      ...one,
      ...{
        source: 'quay',
        path: '/webhook/quay',
        secretInPath: true,
        authenticate: byPathOrHeader(() => [canaries.PATH_TOKEN]),
      },
    };
    const receivers = [...createReceivers(sources, configuration.receivers, { secrets, directory: folder, log }), byPath];
    const app = createWebhookApp({
      ...{
        receivers,
        audit,
        log,
        metrics: createMetrics(),
        senders: await createSenders({ trustedProxies: [] }),
        limits: { perMinute: 1_200, inWork: 128 },
        now: () => new Date(),
      },
      acceptPushes: async () => ({ rollouts: [], resolving: [] }),
      acceptCommits: async () => [],
      forwardProgress: async () => ({ ignored: 'nobody waits' }),
    });
    const handle = app.callback();
    const server = createServer((request, response) => void handle(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const ask = (path: string, headers: Record<string, string>, body = '{}', method = 'POST'): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = httpRequest({ port, host: '127.0.0.1', path, method, headers }, (answer) => {
          answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
        });
        sent.once('error', reject).end(body);
      });
    return { ask, stop: () => void server.close() };
  };

  it('has every request and its answer, and no secret that a sender put anywhere', async () => {
    const { ask, stop } = await startIngress();
    const json = { 'content-type': 'application/json' };
    const path = encodeURIComponent(canaries.PATH_TOKEN);
    const asked: [string, Record<string, string>, (string | undefined)?, string?][] = [
      [`/webhook/quay/${path}`, json],
      [`/webhook/quay/${path}/more`, json],
      [`/webhook/quay/${path}x`, json],
      [`/WEBHOOK/quay/${path}`, json],
      [`/webhook/distribution?token=${encodeURIComponent(canaries.HOOK_TOKEN)}&canary-as-a-name=1`, json],
      ['/webhook/distribution', { ...json, authorization: `Bearer ${canaries.HOOK_TOKEN}` }],
      [
        '/webhook/distribution',
        { ...json, authorization: `Basic ${Buffer.from('ann:canary-typed-by-hand').toString('base64')}` },
      ],
      ['/webhook/image-published', { ...json, 'x-hub-signature-256': 'sha256=canary-signature', cookie: 'a=canary-cookie' }],
      ['/webhook/image-published', { ...json, 'x-anything': 'canary-in-a-header', 'user-agent': canaries.GH_PAT }],
      ['/webhook/image-published', { ...json, 'x-github-delivery': 'shown', 'x-gitea-event': 'canary-of-another-source' }],
      ['/webhook/image-published', json, `{"secret":${JSON.stringify(canaries.WEBHOOK_SECRET)}`],
      ['/webhook/image-published', { 'content-type': canaries.PATH_TOKEN }],
      [
        `/webhook/quay/${path}`,
        json,
        `{"said":"shown","token":"canary-nobody-knows","again":${JSON.stringify(canaries.GH_PAT)}}`,
      ],
      [`/${canaries.GH_PAT}`, {}, undefined, 'PUT'],
    ];
    const statuses: number[] = [];
    for (const [where, headers, body, method] of asked) statuses.push(await ask(where, headers, body, method));
    stop();
    const [came, went] = [logged('a request comes in'), logged('it is answered')];
    assert.equal(came.length, asked.length);
    assert.deepEqual(
      went.map(({ request, status }) => [request, status]),
      statuses.map((status, index) => [index + 1, status]),
    );
    assert.equal(came[0]?.path, '/webhook/quay/[masked]');
    assert.equal(headersOf(came[0])?.['content-type'], 'application/json');
    assert.equal(came[4]?.query, 'token=[masked]&[masked]=[masked]');
    assert.equal(headersOf(came[7])?.cookie, masked);
    const ofSource = headersOf(came[9]);
    assert.deepEqual([ofSource?.['x-github-delivery'], ofSource?.['x-gitea-event']], ['shown', masked]);
    assert.equal(came.at(-1)?.path, '/[masked]');
    const authentic = went.find(({ body }) => String(body).includes('shown'));
    assert.equal(authentic?.body, `{"said":"shown","token":"${masked}","again":"${masked}"}`);
    assert.match(String(authentic.reason), /^Expected /);
    assert.ok(went.every(({ body, outcome }) => body === undefined || outcome !== 'unauthenticated'));
    await assertNoCanary();
  });

  it('has every request that goes out and its answer, and no secret of a registry or a forge', async () => {
    const { secrets } = logging;
    const credentials = async () => ({ username: secrets('env:REGISTRY_USER'), password: secrets('env:REGISTRY_PASSWORD') });
    const registry = new Registry({ credentials, plainHttp: () => true });
    const image = parseRepository(`${host}/pitchconnect/app`);
    assert.equal(await registry.resolve(image, 'latest' as Tag), undefined);
    assert.ok(configuration.forge.github);
    const octokit = await connectGitHub(configuration.forge.github, secrets).clientFor('pitchconnect/app');
    await assert.rejects(octokit.request('GET /rate_limit?x=canary-in-a-query'));
    const payload = { text: '42d4a62', password: 'canary-nobody-knows' };
    const named = { owner: 'pitchconnect', repo: 'app', event_type: 'QUAY_BUILD_SUCCESS', client_payload: payload };
    await octokit.rest.repos.createDispatchEvent(named);
    await fetch(`http://${host}/api/webhooks/123456789/CanaryAbcdefGhijkl0123456789?wait=canary`).catch(() => undefined);
    await assert.rejects(fetch(`http://127.0.0.1:${await reservePort()}/gone`));
    assert.ok(
      seen.some((line) => line.endsWith(` Basic ${Buffer.from(`pitchconnect:${env.REGISTRY_PASSWORD}`).toString('base64')}`)),
      seen.join(),
    );
    assert.ok(
      seen.some((line) => line.includes('canary')),
      'secrets did go out',
    );
    const [went, came] = [logged('a request goes out'), logged('its answer comes in')];
    assert.ok(
      went.some(({ url }) => url === `http://${host}/v2/pitchconnect/app/manifests/latest`),
      JSON.stringify(went),
    );
    assert.ok(
      went.some(({ url }) => url === `http://${host}/api/webhooks/123456789/[masked]?…`),
      JSON.stringify(went),
    );
    assert.ok(
      seen.some((line) => line.startsWith('/api/v3/rate_limit?x=canary') && line.endsWith(canaries.GH_PAT)),
      seen.join(),
    );
    assert.ok(came.some(({ status, method, request }) => status === 401 && method === 'HEAD' && typeof request === 'number'));
    const event = { event_type: 'QUAY_BUILD_SUCCESS', client_payload: { text: '42d4a62', password: masked } };
    const dispatched = came.find(({ body }) => typeof body === 'string');
    assert.deepEqual(JSON.parse(String(dispatched?.body)), event);
    const answers = logged('its answer says').filter(({ request }) => request === dispatched?.request);
    assert.deepEqual(
      answers.map(({ answer }) => answer),
      ['{"said":"taken"}'],
    );
    assert.ok(logged('a request got no answer').some(({ reason }) => reason === 'ECONNREFUSED'));
    await assertNoCanary();
  });

  it('has no secret of the configuration, whatever code writes it, and those of a rotated file from when they are used', async () => {
    const { log, audit, secrets } = logging;
    for (const secret of [...Object.values(canaries), 'canary-in-a-file-1', env.UNNAMED_API_KEY]) {
      log.info({ secret, nested: { url: `https://x.example.org/${encodeURIComponent(secret)}` } }, `it is ${secret}`);
      log.error({ error: new Error(JSON.stringify({ secret })).stack }, 'failed');
      log.trace({ header: `Basic ${Buffer.from(`pitchconnect:${secret}`).toString('base64')}` });
      audit({
        ...{ timestamp: new Date().toISOString(), event_type: 'decision_made', source: 'operator', outcome: 'accepted' },
        ...{
          status: 'accepted',
          services: ['web'],
          images: [],
          repositories: [],
          action: 'hold',
          by: 'ann',
          reason: secret,
          workflow: 'lane:web',
        },
      });
    }
    await assertNoCanary();
    await writeFile(join(folder, 'secret.txt'), 'canary-in-a-file-2\n');
    assert.equal(secrets(`file:${folder}/secret.txt`), 'canary-in-a-file-2');
    log.info('canary-in-a-file-2, canary-in-a-file-1');
    log.info('ghcr.io/pitchconnect/app');
    await eventually('the file of the audit log', async () => (await output()).includes('"reason":"[masked]"'));
    await assertNoCanary();
    assert.ok(written.join('').includes('ghcr.io/pitchconnect/app'), 'a user name is no secret');
    for (const line of written.join('').trimEnd().split('\n')) JSON.parse(line);
  });

  it('has none of it at level info', async () => {
    const lines: string[] = [];
    const quiet = openLogging(
      { ...configuration, log: { level: 'info' }, audit: { ...configuration.audit, file: `${folder}/b.jsonl` } },
      env,
      { stdout: { write: (line) => lines.push(line) } },
    );
    const before = written.length;
    await fetch(`http://${host}/api/`);
    assert.ok(written.length > before, 'the other one says it');
    assert.deepEqual(lines, []);
    await quiet.close();
  });

  it('ends with the logging: what goes out later is not logged', async () => {
    await logging.close();
    const before = written.length;
    await fetch(`http://${host}/api/`);
    await pause(0);
    assert.equal(written.length, before);
  });
});
