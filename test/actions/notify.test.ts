import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { isStale } from '../../scripts/build-actions.mjs';
import { reservePort } from '../../src/platform/ports.ts';
import { eventSource } from '../../src/sources/event/index.ts';
import { contextOf, only } from '../api/support/receivers.ts';
import { acceptAll, type ReceiverIngress, serveReceiver } from '../sources/event-ingress.ts';
import { githubJobClaims, type OidcIssuer, startOidcIssuer } from '../support/oidc-issuer.ts';
import { startTargetServer, type TargetServer } from '../support/target-server.ts';

const action = fileURLToPath(new URL('../../actions/notify/', import.meta.url));
const audience = 'https://landfall.example.org';
const answer = {
  rollouts: [{ id: 'rollout:app:dev:0123456789ab', service: 'app', image: 'x', link: 'https://landfall.example.org/r/1' }],
  resolving: [{ id: 'resolve:app', service: 'app', image: 'x' }],
};

type Given = Readonly<Record<string, string | undefined>>;

describe('the action notify', function () {
  this.timeout(60_000);
  let issuer: OidcIssuer;
  let landfall: TargetServer;
  let folder: string;

  beforeEach(async () => {
    issuer = await startOidcIssuer();
    landfall = await startTargetServer(() => ({ status: 202, body: answer }));
    folder = await mkdtemp(join(tmpdir(), 'landfall-action-'));
  });
  afterEach(async () => {
    await issuer.stop();
    await landfall.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs it as a runner does. */
  async function step(given: Given = {}, env: Given = {}) {
    const output = join(folder, 'output');
    await writeFile(output, '');
    const usual: Given = { url: landfall.url, audience, image: 'ghcr.io/test-org/app', tags: 'dev' };
    const inputs = Object.entries({ ...usual, ...given }).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value ?? '']);
    const child = spawn(process.execPath, [join(action, 'dist', 'index.js')], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        GITHUB_OUTPUT: output,
        ...issuer.jobEnvironment(githubJobClaims),
        ...Object.fromEntries(inputs),
        ...env,
      },
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const [exitCode] = await once(child, 'close');
    const written = await readFile(output, 'utf8');
    const outputs = Object.fromEntries(
      [...written.matchAll(/^(\S+?)<<(\S+)\n([\s\S]*?)\n\2$/gm)].map(([, name, , value]) => [name, JSON.parse(value ?? '')]),
    );
    return { exitCode, printed, outputs };
  }
  const sent = () => landfall.requests.map(({ text }) => JSON.parse(text) as unknown);

  it('tells of the image with the token of the job, and gives ids and links', async () => {
    const { exitCode, printed, outputs } = await step();
    assert.equal(exitCode, 0, printed);
    assert.deepEqual(outputs, {
      rollouts: ['rollout:app:dev:0123456789ab', 'resolve:app'],
      links: ['https://landfall.example.org/r/1'],
    });
    const [request, ...more] = landfall.requests;
    assert.deepEqual(more, []);
    assert.deepEqual([request?.method, request?.path], ['POST', '/event']);
    assert.equal(request?.headers['content-type'], 'application/json');
    assert.deepEqual(sent(), [{ image: 'ghcr.io/test-org/app', tags: ['dev'] }]);
    const token = request?.headers.authorization?.slice('Bearer '.length) ?? '';
    assert.deepEqual(
      printed.split('\n').filter((line) => line.includes(token)),
      [`::add-mask::${token}`],
    );
    assert.ok(!printed.includes('canary-request-token'), printed);
  });

  it('is taken by a Landfall that asks the issuer for its keys', async () => {
    const settings = { audience: [audience], issuers: [{ github: issuer.url }], imagePrefix: ['ghcr.io/test-org/'] };
    const served: ReceiverIngress[] = [];
    const serve = async (owner: string) => {
      const event = { ...settings, owners: [owner] };
      const ingress = await serveReceiver((log) => only(eventSource.open({ event }, { ...contextOf({}), log })), acceptAll);
      served.push(ingress);
      return ingress.url;
    };
    try {
      const url = await serve('test-org');
      const taken = await step({ url, image: 'ghcr.io/Test-Org/App', tags: 'v1, dev' });
      assert.deepEqual([taken.exitCode, taken.outputs.rollouts], [0, ['resolve:app:v1', 'resolve:app:dev']], taken.printed);
      const [entry] = served[0]?.audited ?? [];
      assert.deepEqual([entry?.images, entry?.repositories], [['ghcr.io/test-org/app'], ['test-org/app']]);
      const outside = await step({ url, image: 'ghcr.io/other/app' });
      assert.equal(outside.exitCode, 1);
      assert.match(outside.printed, /::error::Landfall answered 400: Expected an image that begins with the prefix/);
      const stranger = await step({ url: await serve('test-org-evil') });
      assert.equal(stranger.exitCode, 1);
      assert.match(stranger.printed, /::error::Landfall answered 401: .*audience.*owner/);
    } finally {
      for (const ingress of served) await ingress.stop();
    }
  });

  it('posts to the path of a URL that has one, by either name', async () => {
    for (const [given, path] of [
      [{ url: `${landfall.url}/` }, '/event'],
      [{ url: `${landfall.url}/landfall/event` }, '/landfall/event'],
      [{ url: '', 'webhook-url': landfall.url }, '/event'],
      [{ url: `${landfall.url}?a=b` }, '/event?a=b'],
    ] as const) {
      assert.equal((await step(given)).exitCode, 0);
      assert.equal(landfall.requests.at(-1)?.path, path);
    }
  });

  it('takes tags as a word, lines, commas, a JSON array, and whole references', async () => {
    const image = 'ghcr.io/test-org/app';
    const three = ['v1.0', 'v1', 'latest'];
    const spellings: [Given, string[]][] = [
      [{ tags: '', tag: 'dev' }, ['dev']],
      [{ tags: ' dev ' }, ['dev']],
      [{ image: `https://${image}` }, ['dev']],
      [{ tags: 'v1.0\nv1\nlatest\n' }, three],
      [{ tags: 'v1.0\r\nv1, latest,,' }, three],
      [{ tags: '["v1.0", "v1", "latest", "v1"]' }, three],
      [{ tags: `${image}:v1.0\n${image}:v1\nghcr.io/Test-Org/App:latest` }, three],
      // Of a job that pushes to several registries.
      [{ tags: `docker.io/test-org/app:v1.0\n${image}:v1.0\nlocalhost:5000/app:v2\n${image}:v1` }, ['v1.0', 'v1']],
      [{ tags: 'v1.0', tag: 'v1' }, ['v1.0', 'v1']],
    ];
    for (const [given, tags] of spellings) {
      const { exitCode, printed } = await step(given);
      assert.equal(exitCode, 0, printed);
      assert.deepEqual(sent().at(-1), { image, tags });
    }
  });

  it('says which input is wrong, and sends nothing', async () => {
    const wrong: [Given, RegExp][] = [
      [{ url: '' }, /::error::url: expected .*found nothing/],
      [{ url: 'landfall.example.org' }, /::error::url: expected/],
      [{ url: 'ftp://landfall.example.org' }, /::error::url: expected/],
      [{ url: 'http://landfall.example.org' }, /::error::url: expected .*plain-http: true/],
      [{ url: 'http://127.0.0.1.example.org', 'plain-http': 'false' }, /::error::url: expected .*plain-http: true/],
      [{ url: '', 'webhook-url': 'http://10.1.2.3:8080/event' }, /::error::url: expected .*plain-http: true/],
      [{ audience: ' ' }, /::error::audience: expected/],
      [{ image: '' }, /::error::image: expected/],
      [{ image: 'app' }, /::error::image: expected .*registry and path/],
      [{ image: 'ghcr.io/team/app:dev' }, /::error::image: expected .*without tag and digest/],
      [{ image: 'ghcr.io/team/app@sha256:0' }, /::error::image: expected .*without tag and digest/],
      [{ tags: '' }, /::error::tags: expected at least one tag/],
      [{ tags: '[]' }, /::error::tags: expected at least one tag/],
      [{ tags: '["a", 1]' }, /::error::tags: expected a JSON array of texts/],
      [{ tags: '["a"' }, /::error::tags: expected a JSON array of texts/],
      [{ tags: 'a b:c' }, /::error::tags: expected tags of .*found 'b:c'/],
      [{ tags: 'dev\nghcr.io/other/app' }, /::error::tags: expected tags of .*found 'ghcr.io\/other\/app'/],
      [{ tags: 'ghcr.io/other/app:v1' }, /::error::tags: expected tags of/],
      [{ 'timeout-seconds': 'soon' }, /::error::timeout-seconds: expected a number/],
      [{ 'timeout-seconds': '0' }, /::error::timeout-seconds: expected a number/],
    ];
    for (const [given, message] of wrong) {
      const { exitCode, printed } = await step(given);
      assert.equal(exitCode, 1);
      assert.match(printed, message);
    }
    assert.deepEqual([landfall.requests.length, issuer.fetches.tokens], [0, 0]);
  });

  it('says what to permit where the job may not have a token', async () => {
    const without = await step({}, { ACTIONS_ID_TOKEN_REQUEST_URL: undefined, ACTIONS_ID_TOKEN_REQUEST_TOKEN: undefined });
    assert.equal(without.exitCode, 1);
    assert.match(without.printed, /::error::.*id-token: write/);
    const wrong = await step({}, { ACTIONS_ID_TOKEN_REQUEST_TOKEN: 'wrong' });
    assert.equal(wrong.exitCode, 1);
    assert.match(wrong.printed, /::error::GitHub's issuer of tokens gave no token: it answered 401/);
    assert.equal(landfall.requests.length, 0);
  });

  it('tries again while Landfall cannot, each time with a token of its own', async () => {
    landfall.failNext({ status: 502 });
    landfall.failNext({ status: 503, headers: { 'Retry-After': '1' } });
    landfall.failNext({ status: 429, headers: { 'Retry-After': '0' } });
    landfall.failNext({ cut: 'before' });
    landfall.failNext({ cut: 'within' });
    const { exitCode, printed, outputs } = await step();
    assert.equal(exitCode, 0, printed);
    assert.equal(landfall.requests.length, 6);
    assert.equal(issuer.fetches.tokens, 6);
    assert.equal(outputs.rollouts?.length, 2);
    assert.match(printed, /Landfall answered 502.*Next attempt/);
  });

  it('gives up when the time is over, and says what went wrong last', async () => {
    landfall.failNext({ status: 502, times: 100 });
    const failing = await step({ 'timeout-seconds': '2' });
    assert.equal(failing.exitCode, 1);
    assert.match(failing.printed, /::error::Landfall answered 502.*timeout-seconds.*attempts/);
    assert.ok(landfall.requests.length > 1);
    const away = await step({ url: `http://127.0.0.1:${await reservePort()}`, 'timeout-seconds': '1' });
    assert.equal(away.exitCode, 1);
    assert.match(away.printed, /::error::Landfall cannot be reached: .*ECONNREFUSED/);
  });

  it('does not wait for longer than it may', async () => {
    landfall.failNext({ status: 503, headers: { 'Retry-After': '3600' } });
    const { exitCode, printed } = await step();
    assert.equal(exitCode, 1);
    assert.match(printed, /::error::Landfall answered 503/);
  });

  it('explains what no other attempt would change, and makes none', async () => {
    const cases: [number, RegExp][] = [
      [400, /answered 400: the detail/],
      [401, /answered 401.*audience.*owner.*the log of Landfall/],
      [403, /answered 403.*proxy/],
      [404, /answered 404.*url.*receivers\.event/],
      [405, /answered 405.*url/],
      [302, /answered 302.*Set url/],
    ];
    for (const [index, [status, message]] of cases.entries()) {
      landfall.failNext({ status, headers: { Location: '/elsewhere' }, body: JSON.stringify({ detail: 'the\ndetail' }) });
      const { exitCode, printed, outputs } = await step();
      assert.equal(exitCode, 1);
      assert.match(printed, message);
      assert.deepEqual([landfall.requests.length, outputs], [index + 1, {}]);
    }
  });

  it('is content with an answer that says nothing, and warns where nothing is started', async () => {
    landfall.failNext({ status: 202, body: '' });
    const silent = await step();
    assert.deepEqual([silent.exitCode, silent.outputs], [0, { rollouts: [], links: [] }], silent.printed);
    landfall.failNext({ status: 202, body: '{"rollouts":[],"resolving":null,"ignored":"no service follows it"}' });
    const ignored = await step();
    assert.deepEqual([ignored.exitCode, ignored.outputs.rollouts], [0, []], ignored.printed);
    assert.match(ignored.printed, /::warning::.*no service follows it/);
  });

  it('tells of the shorter versions as well, and asks for the same again, where it is told to', async () => {
    await step({ tags: 'v1.2.3,latest,v1.2.3-rc.1', 'expand-versions': 'true', again: 'true' });
    assert.deepEqual(sent(), [
      { image: 'ghcr.io/test-org/app', tags: ['v1', 'v1.2', 'v1.2.3', 'latest', 'v1.2.3-rc.1'], again: true },
    ]);
  });

  it('is bundled from the sources that are here', async () => {
    assert.equal(await isStale(action), false, 'run node scripts/build-actions.mjs');
  });

  it('declares the inputs and outputs that it has', async () => {
    const { inputs, outputs, runs } = parse(await readFile(join(action, 'action.yml'), 'utf8'));
    assert.deepEqual(Object.keys(inputs), [
      'url',
      'webhook-url',
      'plain-http',
      'audience',
      'image',
      'tags',
      'tag',
      'expand-versions',
      'again',
      'timeout-seconds',
    ]);
    assert.deepEqual(Object.keys(outputs), ['rollouts', 'links']);
    assert.deepEqual(runs, { using: 'node20', main: 'dist/index.js' });
  });
});
