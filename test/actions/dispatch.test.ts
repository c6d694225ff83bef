import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { reservePort } from '../../src/platform/ports.ts';
import { type GitHub, startGitHub, token } from '../support/github/server.ts';
import { digestOf } from '../support/plans.ts';

const action = fileURLToPath(new URL('../../actions/dispatch_on_image_push_success/', import.meta.url));
const target = 'team/deployment';
const commit = '42d4a62c53350993ea41069e9f2cfdefb0df097d';

/** What a job gives to the step; undefined: the input is not set, which the runner passes on as empty. */
type Given = Readonly<Record<string, string | undefined>>;

describe('the action dispatch_on_image_push_success', function () {
  // The emulator reads GitHub's description once (13 MB).
  this.timeout(60_000);
  let github: GitHub;
  let folder: string;

  beforeEach(async () => {
    github = await startGitHub();
    await github.createRepository(target);
    folder = await mkdtemp(join(tmpdir(), 'landfall-action-'));
  });
  afterEach(async () => {
    await github.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const usual: Given = {
    target_repo: target,
    target_repo_pat: token,
    repository_dispatch_event: 'image-pushed',
    tags: '["latest", "v1.2.0"]',
    digest: digestOf('A'),
  };

  /** Runs it as a runner does. */
  async function step(given: Given = {}, env: Given = {}) {
    const output = join(folder, 'output');
    await writeFile(output, '');
    const inputs = Object.entries({ ...usual, ...given }).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value ?? '']);
    const child = spawn(process.execPath, [join(action, 'dist', 'index.js')], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        GITHUB_OUTPUT: output,
        GITHUB_API_URL: github.url,
        GITHUB_REPOSITORY: 'team/web',
        GITHUB_SHA: commit,
        GITHUB_RUN_ID: '4711',
        ...Object.fromEntries(inputs),
        ...env,
      },
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    const [exitCode] = await once(child, 'close');
    const [, result] = /^result<<(\S+)\n([\s\S]*)\n\1\n$/.exec(await readFile(output, 'utf8'))?.slice(1) ?? [];
    return { exitCode, printed, result };
  }
  const sent = () => github.repository(target).dispatches;

  it('tells the repository what was pushed, by whom, and says so', async () => {
    const before = new Date(Math.floor(Date.now() / 1000) * 1000);
    const { exitCode, result, printed } = await step();
    assert.deepEqual([exitCode, result], [0, `Dispatched successfully to ${target} with event image-pushed`]);
    const [event, ...more] = sent();
    const { timestamp, ...payload } = event?.payload ?? {};
    assert.deepEqual([event?.eventType, more], ['image-pushed', []]);
    assert.deepEqual(payload, {
      repository: 'team/web',
      tags: '["latest", "v1.2.0"]',
      digest: digestOf('A'),
      commit,
      run_id: '4711',
      source_repository: 'team/web',
    });
    assert.match(String(timestamp), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.ok(new Date(String(timestamp)) >= before);
    assert.deepEqual(
      printed.split('\n').filter((line) => line.includes(token)),
      [`::add-mask::${token}`],
    );
  });

  it('says by repository which image it is, where that is given, and leaves the digest empty where it is not', async () => {
    await step({ image_name: 'team/image', digest: undefined });
    const { repository, image, source_repository, digest } = sent()[0]?.payload ?? {};
    assert.deepEqual([repository, image, source_repository, digest], ['team/image', 'team/image', 'team/web', '']);
  });

  it('sends tags as they are, in whatever form', async () => {
    const forms = ['["ghcr.io/team/web:latest"]', 'my-image:latest', 'latest\nv1.2.0', '[]'];
    for (const tags of forms) assert.equal((await step({ tags })).exitCode, 0, tags);
    assert.deepEqual(
      sent().map(({ payload }) => payload.tags),
      forms,
    );
  });

  it('asks another GitHub where api_url says so', async () => {
    const { exitCode } = await step({ api_url: `${github.url}/` }, { GITHUB_API_URL: 'http://127.0.0.1:9' });
    assert.deepEqual([exitCode, sent().length], [0, 1]);
  });

  const refused: readonly (readonly [string, Given, RegExp])[] = [
    ['without target_repo', { target_repo: undefined }, /^target_repo: expected .*found nothing/],
    ['without a token', { target_repo_pat: undefined }, /^target_repo_pat: expected .*found nothing/],
    ['without an event', { repository_dispatch_event: ' ' }, /^repository_dispatch_event: expected .*found nothing/],
    ['with an event that is too long', { repository_dispatch_event: 'e'.repeat(101) }, /at most 100 characters, found 101/],
    ['without tags', { tags: undefined }, /^tags: expected the tags that were pushed.*found nothing/],
    ['with blank tags', { tags: ' \n' }, /^tags: expected .*found nothing/],
    ['with a digest that is none', { digest: 'sha256:abc' }, /^digest: expected sha256: and 64 .*found sha256:abc/],
    ['with a digest in capitals', { digest: digestOf('A').toUpperCase() }, /^digest: expected/],
    ['with a repository without owner', { target_repo: 'deployment' }, /^target_repo: expected .*found deployment/],
    ['with a repository as URL', { target_repo: 'https://github.com/a/b' }, /^target_repo: expected/],
    ['with a repository that leads elsewhere', { target_repo: 'a/..' }, /^target_repo: expected/],
    ['with an api_url that is none', { api_url: 'github.example.org' }, /^api_url: expected a URL/],
  ];
  for (const [what, given, expected] of refused) {
    it(`fails ${what}, and asks nobody`, async () => {
      const { exitCode, result, printed } = await step(given);
      assert.equal(exitCode, 1);
      const [, reason = ''] = /^Dispatch failed to \S+: ([\s\S]*)$/.exec(result ?? '') ?? [];
      assert.match(reason, expected);
      assert.ok(printed.includes('::error::'), printed);
      assert.deepEqual(github.requests, []);
    });
  }

  const answers: readonly (readonly [number, Given, () => void, RegExp])[] = [
    [401, { target_repo_pat: 'ghp_wrong' }, () => undefined, /answered 401 .*no valid token/],
    [
      403,
      { target_repo_pat: 'reader' },
      () => github.addToken('reader', { login: 'reader', permissions: { contents: 'read' } }),
      /answered 403 .*Contents: read and write/,
    ],
    [404, { target_repo: 'team/none' }, () => undefined, /answered 404 .*there is no repository team\/none/],
    [422, {}, () => github.failNext({ status: 422 }), /answered 422.*does not take the event/],
    [503, {}, () => github.failNext({ status: 503 }), /answered 503.*run the job again later/],
    [304, {}, () => github.failNext({ status: 304 }), /answered 304: expected 204; check api_url/],
  ];
  for (const [status, given, prepare, expected] of answers) {
    it(`fails where GitHub answers ${status}, and explains it without the token`, async () => {
      prepare();
      const { exitCode, result, printed } = await step(given);
      assert.equal(exitCode, 1);
      assert.match(result ?? '', expected);
      const secret = given.target_repo_pat ?? token;
      assert.ok(!(result ?? '').includes(secret));
      assert.deepEqual(
        printed.split('\n').filter((line) => line.includes(secret)),
        [`::add-mask::${secret}`],
      );
      assert.deepEqual(sent(), []);
    });
  }

  it('fails where nobody answers, and names the URL', async () => {
    const { exitCode, result } = await step({ api_url: `http://127.0.0.1:${await reservePort()}` });
    assert.equal(exitCode, 1);
    assert.match(
      result ?? '',
      /expected an answer of http:\/\/127\.0\.0\.1:\d+\/repos\/team\/deployment\/dispatches, found none/,
    );
  });

  it('declares the inputs that it reads, and runs on node20', async () => {
    const { inputs, outputs, runs } = parse(await readFile(join(action, 'action.yml'), 'utf8'));
    const required = Object.entries(inputs).map(([name, input]) => [name, Object(input).required]);
    assert.deepEqual(Object.fromEntries(required), {
      target_repo: true,
      target_repo_pat: true,
      repository_dispatch_event: true,
      tags: false,
      digest: false,
      image_name: false,
      api_url: false,
    });
    assert.deepEqual([Object.keys(outputs), runs], [['result'], { using: 'node20', main: 'dist/index.js' }]);
  });
});
