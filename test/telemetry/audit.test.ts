import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { chainHashes } from '../../src/config/chain-hashes.ts';
import type { DecisionEntry, SearchEntry } from '../../src/domain/audit.ts';
import type { Log } from '../../src/domain/log.ts';
import { createProcessAudit, openLogging } from '../../src/process/logging.ts';
import { createAuditFile } from '../../src/telemetry/audit-file.ts';
import { createAuditPost } from '../../src/telemetry/audit-post.ts';
import { load } from '../config/support.ts';
import { eventually } from '../support/wait.ts';

const lineOf = (number: number): string => `${JSON.stringify({ number, padding: 'x'.repeat(80) })}\n`;

/** A log that remembers. */
function aLog(): Pick<Log, 'info' | 'warn'> & { readonly said: string[] } {
  const said: string[] = [];
  const say = (fields: Record<string, unknown>, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`);
  return { said, info: say, warn: say };
}

describe('the file of the audit log', function () {
  this.timeout(30_000);
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-audit-'));
    file = join(folder, 'deep', 'audit.jsonl');
  });
  afterEach(() => rm(folder, { recursive: true }));

  const numbersIn = async (name: string): Promise<number[]> =>
    (await readFile(name, 'utf8'))
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { number: number }).number);
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

  it('is made with its folder, takes lines in their order, and is continued after a restart', async () => {
    const log = aLog();
    for (const from of [0, 1_000]) {
      const { write, close } = bound(createAuditFile({ file, bytes: 1024 ** 2, keep: 2, log }));
      for (const number of range(from, from + 1_000)) write(lineOf(number));
      await close();
    }
    assert.deepEqual(await numbersIn(file), range(0, 2_000));
    assert.deepEqual(log.said, []);
    assert.equal((await stat(file)).mode & 0o007, 0);
  });

  it('rotates by size, keeps as many as it should, and tears no line', async () => {
    const log = aLog();
    const { write, close } = bound(createAuditFile({ file, bytes: 20_000, keep: 2, log }));
    for (const number of range(0, 10_000)) {
      write(lineOf(number));
      // Else all of them were one write.
      if (number % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await close();
    const names = [`${file}.2`, `${file}.1`, file];
    const numbers = (await Promise.all(names.map(numbersIn))).flat();
    assert.ok(numbers.length < 10_000 && numbers.length > 100, `${numbers.length}`);
    assert.deepEqual(numbers, range(10_000 - numbers.length, 10_000));
    assert.equal(existsSync(`${file}.3`), false);
    assert.deepEqual(log.said, []);
  });

  it('keeps none where none is to be kept', async () => {
    const { write, close } = bound(createAuditFile({ file, bytes: 500, keep: 0, log: aLog() }));
    for (const number of range(0, 50)) {
      write(lineOf(number));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await close();
    await eventually('the rotated file to be gone', async () => !existsSync(`${file}.1`));
  });

  it('begins on a line of its own behind one that a crash has torn', async () => {
    await mkdir(join(folder, 'deep'));
    await writeFile(file, `${lineOf(1)}{"number":2,"pad`);
    const { write, close } = bound(createAuditFile({ file, bytes: 1024 ** 2, keep: 1, log: aLog() }));
    write(lineOf(3));
    await close();
    assert.deepEqual((await readFile(file, 'utf8')).split('\n').slice(0, 3), [
      lineOf(1).trimEnd(),
      '{"number":2,"pad',
      lineOf(3).trimEnd(),
    ]);
  });

  it('that cannot be written to breaks nothing, is said once, and has everything once it can be', async () => {
    const log = aLog();
    // A file where the folder should be: also root cannot write there.
    await writeFile(join(folder, 'deep'), '');
    let again = 0;
    const failedAgain = () => {
      again += 1;
    };
    const { write, close } = bound(createAuditFile({ file, bytes: 1024 ** 2, keep: 1, log, failedAgain, retryMs: 20 }));
    for (const number of range(0, 100)) write(lineOf(number));
    await eventually('it to be said, and counted as long as it lasts', async () => log.said.length > 0 && again > 2);
    for (const number of range(100, 200)) write(lineOf(number));
    await rm(join(folder, 'deep'));
    await eventually('the file', async () => existsSync(file) && (await numbersIn(file)).length === 200);
    await close();
    assert.deepEqual(await numbersIn(file), range(0, 200));
    assert.equal(log.said.length, 2, log.said.join('\n'));
    assert.match(log.said[0] ?? '', /^the audit log cannot be written/);
    assert.match(log.said[1] ?? '', /^the audit log can be written again \{.*"lost":0\}$/);
  });

  it('is bounded in what waits for a disk that takes nothing, and says how much was lost', async () => {
    const log = aLog();
    // What is no file is refused at every try, for root too.
    const { write, close } = bound(createAuditFile({ file: '/dev/full', bytes: 1024 ** 2, keep: 1, log, retryMs: 60_000 }));
    const long = `${'x'.repeat(1024 ** 2)}\n`;
    for (let count = 0; count < 20; count += 1) write(long);
    await close();
    assert.match(log.said.at(-1) ?? '', /^lines of the audit log could not be written \{.*"lost":20\}$/);
  });

  it('has every line that a process wrote before it exits without closing anything', async () => {
    const source = `
      import { createAuditFile } from ${JSON.stringify(new URL('../../src/telemetry/audit-file.ts', import.meta.url).href)};
      const writer = createAuditFile({ file: ${JSON.stringify(file)}, bytes: 1e9, keep: 1, log: console });
      writer.write('{"number":0}\\n');
      const { statSync } = await import('node:fs');
      while (!statSync(${JSON.stringify(file)}, { throwIfNoEntry: false })?.size) await new Promise(setImmediate);
      for (let number = 1; number < 500; number += 1) writer.write(JSON.stringify({ number }) + '\\n');
      process.exit(1);`;
    const script = join(folder, 'exits.mts');
    await writeFile(script, source);
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'ignore', 'pipe'] });
    const [stderr] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    assert.equal(stderr, '');
    assert.deepEqual(
      [...new Set(await numbersIn(file))].sort((one, other) => one - other),
      range(0, 500),
    );
  });
});

describe('posting the audit log', function () {
  this.timeout(30_000);
  let server: Server;
  let endpoint: string;
  let taken: { readonly number: number; readonly request: IncomingMessage }[];
  let answer: (request: IncomingMessage, response: ServerResponse, number: number) => void;
  beforeEach(async () => {
    taken = [];
    answer = (_request, response) => void response.end();
    const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      const { number } = JSON.parse(await text(request)) as { number: number };
      taken.push({ number, request });
      answer(request, response, number);
    };
    server = createServer((request, response) => void take(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/in?key=canary-key`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const quick = { firstPauseMs: 5, graceMs: 5_000 };
  const numbers = (): number[] => taken.map(({ number }) => number).sort((one, other) => one - other);

  it('is one POST of JSON for each line, few at a time, and everything is sent before it is closed', async () => {
    const log = aLog();
    let [now, most] = [0, 0];
    answer = (_request, response) => {
      now += 1;
      most = Math.max(most, now);
      setImmediate(() => {
        now -= 1;
        response.writeHead(204).end();
      });
    };
    const { write, close } = bound(createAuditPost({ endpoint: () => endpoint, log, ...quick }));
    for (let number = 0; number < 100; number += 1) write(lineOf(number));
    await close();
    assert.deepEqual(numbers(), [...Array(100).keys()]);
    assert.ok(most > 1 && most <= 4, `${most} at once`);
    const [first] = taken;
    assert.equal(first?.request.method, 'POST');
    assert.equal(first?.request.url, '/in?key=canary-key');
    assert.equal(first?.request.headers['content-type'], 'application/json');
    assert.deepEqual(log.said, []);
    write(lineOf(100));
    await close();
    assert.equal(taken.length, 100);
  });

  it('sends a name and password of the URL as basic authentication', async () => {
    const named = endpoint.replace('//', '//ann:p%40ss@');
    const { write, close } = bound(createAuditPost({ endpoint: () => named, log: aLog(), ...quick }));
    write(lineOf(0));
    await close();
    assert.equal(taken[0]?.request.headers.authorization, `Basic ${Buffer.from('ann:p@ss').toString('base64')}`);
  });

  for (const status of [500, 503, 429, 401, 404, 302]) {
    it(`repeats what is answered with ${status} until it is taken, and says it once, without the URL`, async () => {
      const log = aLog();
      answer = (_request, response) => void response.writeHead(taken.length > 6 ? 200 : status, { location: '/away' }).end();
      const { write, close } = bound(createAuditPost({ endpoint: () => endpoint, log, ...quick }));
      for (let number = 0; number < 5; number += 1) write(lineOf(number));
      await eventually('all of them', async () => new Set(numbers().slice(6)).size > 0 && log.said.length === 2);
      await close();
      assert.deepEqual([...new Set(numbers())], [0, 1, 2, 3, 4]);
      assert.match(log.said[0] ?? '', new RegExp(`cannot be posted.*it answers ${status}`));
      assert.match(log.said[1] ?? '', /can be posted again \{"dropped":0\}/);
      assert.doesNotMatch(log.said.join(), /canary/);
    });
  }

  it('lets a line go that is refused for good, and sends the others', async () => {
    const log = aLog();
    answer = (_request, response, number) => void response.writeHead(number % 2 === 0 ? 200 : 422).end();
    const { write, close } = bound(createAuditPost({ endpoint: () => endpoint, log, ...quick }));
    for (let number = 0; number < 10; number += 1) write(lineOf(number));
    await close();
    assert.deepEqual(numbers(), [...Array(10).keys()]);
    assert.equal(log.said.length, 1);
  });

  it('keeps the newest lines while nobody listens, says that it drops, and how many, and goes on', async () => {
    const log = aLog();
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    const { write, close } = bound(createAuditPost({ endpoint: () => endpoint, log, most: 10, ...quick }));
    for (let number = 0; number < 1_000; number += 1) write(lineOf(number));
    await eventually('it to be said', async () => log.said.some((line) => line.includes('ECONNREFUSED')));
    server.listen(port, '127.0.0.1');
    await eventually('it to go on', async () => log.said.some((line) => line.includes('can be posted again')));
    await close();
    assert.deepEqual(
      numbers(),
      [...Array(10).keys()].map((index) => 990 + index),
    );
    const said = log.said.join('\n');
    assert.match(said, /the oldest are dropped \{"waiting":10\}/);
    assert.match(said, /posted again \{"dropped":990\}/);
    assert.equal(log.said.length, 3, said);
  });

  it('does not keep a stop waiting for a collector that never answers', async () => {
    const log = aLog();
    answer = () => undefined;
    const { write, close } = bound(createAuditPost({ endpoint: () => endpoint, log, firstPauseMs: 5, graceMs: 100 }));
    for (let number = 0; number < 10; number += 1) write(lineOf(number));
    const begun = performance.now();
    await close();
    assert.ok(performance.now() - begun < 3_000);
    assert.match(log.said.at(-1) ?? '', /could not be posted.*\{"lost":10\}/);
  });

  it('breaks nothing where the endpoint is no URL, or one without TLS, or its secret is missing', async () => {
    for (const wrong of [
      () => 'canary no url',
      () => 'http://canary.example.test/in',
      () => {
        throw new Error('expected a secret');
      },
    ]) {
      const log = aLog();
      const { write, close } = bound(createAuditPost({ endpoint: wrong, log, firstPauseMs: 5, graceMs: 50 }));
      write(lineOf(0));
      await close();
      assert.match(log.said[0] ?? '', /cannot be posted/);
      assert.doesNotMatch(log.said.join(), /canary/);
    }
  });
});

describe('the audit log of a process', () => {
  const entry: DecisionEntry = {
    timestamp: '2026-01-02T03:04:05.678Z',
    ...{ event_type: 'decision_made', source: 'operator', outcome: 'accepted', status: 'accepted', action: 'hold' },
    ...{ services: ['web'], images: [], repositories: [], by: 'ann (unverified)', reason: 'canary', workflow: 'lane:web' },
  };

  it('counts a collector that takes nothing as long as it takes nothing, and lines that it refuses for good', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-audit-'));
    let status = 503;
    const server = createServer((request, response) => void request.resume().on('end', () => response.writeHead(status).end()));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const failed: string[] = [];
    const log = aLog();
    const { audit, close } = createProcessAudit({
      settings: { file: join(folder, 'audit.jsonl'), bytes: 1024 ** 2, keep: 1, endpoint: 'env:ENDPOINT' },
      secrets: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      ...{ log, stdout: { write: () => undefined }, mask: String, hash: () => chainHashes({ data: folder }, {})[0] },
      failed: (sink) => void failed.push(sink),
    });
    audit(entry);
    await eventually('a second failure', async () => failed.length > 1);
    assert.deepEqual([log.said.length, new Set(failed)], [1, new Set(['endpoint'])]);
    status = 422;
    for (let count = 0; count < 3; count += 1) audit(entry);
    const before = failed.length;
    await eventually('each refusal', async () => failed.length >= before + 4);
    await close();
    server.close();
    await rm(folder, { recursive: true });
  });

  it('goes to standard output, to its file and to the endpoint, alike, and without what the mask knows; decisions to a file of their own', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-audit-'));
    const file = join(folder, 'audit.jsonl');
    const posted: string[] = [];
    const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      posted.push(await text(request));
      response.end();
    };
    const server = createServer((request, response) => void take(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const printed: string[] = [];
    const { audit, close } = createProcessAudit({
      settings: { file, bytes: 1024 ** 2, keep: 1, endpoint: 'env:ENDPOINT' },
      secrets: (reference) => reference.replace('env:ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}/`),
      log: aLog(),
      stdout: { write: (line) => printed.push(line) },
      mask: (line) => line.replaceAll('canary', '[masked]'),
      hash: () => chainHashes({ data: folder }, {})[0],
    });
    audit(entry);
    await close();
    const line = {
      timestamp: '2026-01-02T03:04:05.678Z',
      ...{ event_type: 'decision_made', source: 'operator', outcome: 'accepted' },
      ...{ service: 'web', action: 'hold', status: 'accepted', repository: null, image: null },
      ...{ by: 'ann (unverified)', reason: '[masked]', workflow: 'lane:web' },
    };
    const wanted = `${JSON.stringify(line)}\n`;
    assert.deepEqual([printed, posted], [[wanted], [wanted]]);
    const decisions = await readFile(join(folder, 'audit-decisions.jsonl'), 'utf8');
    const { number, previous, hashed, hash, ...same } = JSON.parse(decisions) as Record<string, unknown>;
    assert.deepEqual(same, line);
    assert.deepEqual([number, previous, hashed], [1, '0'.repeat(64), 'sha256']);
    assert.match(String(hash), /^[0-9a-f]{64}$/);
    assert.equal(existsSync(file), false);
    server.close();
    await rm(folder, { recursive: true });
  });
});

describe('the audit logs of processes that share a configuration', function () {
  this.timeout(30_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-audit-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const search = (action: string): SearchEntry => ({
    timestamp: '2026-01-02T03:04:05.678Z',
    ...{ event_type: 'registry_searched', source: 'search', outcome: 'found', status: 'searched', action },
    ...{ services: ['web'], images: [], repositories: [], registry: 'ghcr.io', found: [] },
  });

  it('are files of their own, as none may be rotated under the hands of another', async () => {
    const configuration = load(`audit: { file: ${folder}/audit.jsonl, size: 2k, keep: 50 }\n`);
    const [api, worker] = [['api'] as const, ['worker', 'deploy'] as const].map((own) =>
      openLogging(configuration, {}, { own, stdout: { write: () => true } }),
    );
    assert.ok(api && worker);
    for (let count = 0; count < 200; count += 1) {
      api.audit(search(`api-${count}`));
      worker.audit(search(`worker-${count}`));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all([api.close(), worker.close()]);
    const actionsIn = async (first: string) => {
      const names = (await readdir(folder)).filter((name) => name === first || name.startsWith(`${first}.`));
      const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
      const read = texts
        .join('')
        .split('\n')
        .filter((line) => line !== '');
      return read.map((line) => (JSON.parse(line) as SearchEntry).action).sort();
    };
    const wanted = (of: string) => Array.from({ length: 200 }, (_, count) => `${of}-${count}`).sort();
    assert.deepEqual(await actionsIn('audit.jsonl'), wanted('api'));
    assert.deepEqual(await actionsIn('audit-worker-deploy.jsonl'), wanted('worker'));
  });
});

describe('the standard output of a process', function () {
  this.timeout(30_000);

  it('may be a disk that is full: lines are lost, and the work goes on', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-stdout-'));
    const module = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);
    await writeFile(join(folder, 'landfall.yaml'), 'data: data\n');
    const source = `
      import { openLogging } from ${module('src/process/logging.ts')};
      import { loadConfiguration } from ${module('src/config/load.ts')};
      import { product } from ${module('src/product.ts')};
      const { configuration } = loadConfiguration('landfall.yaml', {}, product);
      const logging = openLogging(configuration, {});
      for (let count = 0; count < 3; count += 1) {
        logging.log.warn('a line');
        await new Promise((resolve) => setImmediate(resolve));
      }
      await logging.close();
      process.exitCode = 7;`;
    await writeFile(join(folder, 'logs.mts'), source);
    const full = await open('/dev/full', 'w');
    const child = spawn(process.execPath, ['logs.mts'], { cwd: folder, stdio: ['ignore', full.fd, 'pipe'] });
    const [stderr, [code]] = await Promise.all([child.stderr && text(child.stderr), once(child, 'exit')]);
    assert.deepEqual({ stderr, code }, { stderr: '', code: 7 });
    await full.close();
    await rm(folder, { recursive: true });
  });
});

/** Its methods without it. */
function bound<Writer extends { write(line: string): void; close(): Promise<void> }>(writer: Writer) {
  return { write: (line: string) => writer.write(line), close: () => writer.close() };
}
