import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { appendFile, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { chainHashes } from '../../src/config/chain-hashes.ts';
import type { DecisionEntry, RequestEntry } from '../../src/domain/audit.ts';
import { chainBeginning, chainedText, readChained } from '../../src/domain/decision-chain.ts';
import { verifyAudit } from '../../src/operations/index.ts';
import { createProcessAudit } from '../../src/process/logging.ts';
import { createDecisionFile } from '../../src/telemetry/decision-file.ts';
import { eventually } from '../support/wait.ts';

const key = '9f'.repeat(32);
const lineOf = (action: string): string =>
  `${JSON.stringify({ timestamp: '2026-01-02T03:04:05.678Z', event_type: 'decision_made', source: 'operator', outcome: 'accepted', action })}\n`;

describe('the log of decisions', function () {
  this.timeout(30_000);
  let folder: string;
  let file: string;
  let said: string[];
  const log = {
    info: (fields: object, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`),
    warn: (fields: object, message: string) => void said.push(`${message} ${JSON.stringify(fields)}`),
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-decisions-'));
    file = join(folder, 'audit-decisions.jsonl');
    said = [];
  });
  afterEach(() => rm(folder, { recursive: true }));

  const opened = (bytes = 1e6, retryMs = 20) =>
    createDecisionFile({ file, bytes, retryMs, log, hash: () => chainHashes({ data: folder }, {})[0] });
  const write = async (actions: readonly string[], bytes?: number): Promise<void> => {
    const writer = opened(bytes);
    for (const action of actions) writer.write(lineOf(action));
    await writer.close();
  };
  const verify = async (env: Record<string, string> = {}) => {
    const [one] = await verifyAudit({ audit: { file: join(folder, 'audit.jsonl'), bytes: 1, keep: 1 }, data: folder }, env);
    assert.ok(one);
    return one;
  };
  const names = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => `decision-${from + index}`);

  it('is one chain over restarts and over files that were begun anew, of which none is ever removed', async () => {
    for (const from of [0, 50, 100]) await write(names(from, from + 50), 4_000);
    const files = await readdir(folder);
    assert.ok(files.length > 5, files.join());
    assert.deepEqual({ ...(await verify()), end: undefined }, { file, end: undefined, plain: 150, torn: 0 });
    assert.equal((await verify()).end.number, 150);
    assert.deepEqual(said, []);
  });

  it('goes on behind a line that a crash has torn, which verifies as torn', async () => {
    await write(['one', 'two']);
    await appendFile(file, lineOf('three').slice(0, 40));
    await write(['three']);
    const { end, torn, problem } = await verify();
    assert.deepEqual([end.number, torn, problem], [3, 1, undefined]);
    // A whole line of which only the line break is missing counts.
    writeFileSync(file, readFileSync(file, 'utf8').trimEnd());
    await write(['four']);
    assert.deepEqual([(await verify()).end.number, (await verify()).problem], [4, undefined]);
  });

  it('begins anew behind a file of which a crash has left nothing whole', async () => {
    await write(names(0, 20), 2_000);
    writeFileSync(file, '{"timestamp":');
    const before = readFileSync(`${file}.1`, 'utf8').trimEnd().split('\n').at(-1) ?? '';
    await write(['next'], 2_000);
    assert.equal(readChained(readFileSync(file, 'utf8').trimEnd().split('\n').at(-1) ?? '')?.previous, readChained(before)?.hash);
  });

  it('is one chain where two processes write to it at once', async () => {
    const module = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href);
    const script = join(folder, 'writes.mts');
    await writeFile(
      script,
      `import { createDecisionFile } from ${module('src/telemetry/decision-file.ts')};
       import { chainHashes } from ${module('src/config/chain-hashes.ts')};
       const file = ${JSON.stringify(file)};
       const writer = createDecisionFile({ file, bytes: 20_000, retryMs: 20, log: console, hash: () => chainHashes({ data: '/' }, {})[0] });
       process.stdin.resume();
       process.stdin.once('data', async () => {
         for (let count = 0; count < 200; count += 1) {
           writer.write(${JSON.stringify(lineOf('x'))});
           if (count % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
         }
         await writer.close();
         process.exit();
       });
       process.stdout.write('ready');`,
    );
    const children = [1, 2].map(() => spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'pipe'] }));
    await Promise.all(children.map(({ stdout }) => once(stdout, 'data')));
    const ends = children.map((child) => Promise.all([text(child.stderr), once(child, 'exit')]));
    for (const { stdin } of children) stdin.write('go\n');
    for (const [stderr] of await Promise.all(ends)) {
      // Whoever holds the lock may lose the processor meanwhile: then the other one says that its lines wait.
      for (const reason of stderr.match(/(?<=reason: ').*(?=')/g) ?? []) assert.match(reason, /^another process has /);
    }
    const { end, torn, problem } = await verify();
    assert.deepEqual([end.number, torn, problem], [400, 0, undefined]);
    assert.ok(existsSync(`${file}.1`));
  });

  it('waits for a lock, and takes one that a killed process has left', async () => {
    const writer = opened();
    await writeFile(`${file}.lock`, '');
    writer.write(lineOf('one'));
    assert.match(said.join(), /the audit log cannot be written.*another process has/);
    assert.equal(existsSync(file), false);
    const longAgo = new Date(Date.now() - 60_000);
    await utimes(`${file}.lock`, longAgo, longAgo);
    await eventually('the line to be written', async () => existsSync(file));
    await writer.close();
    assert.equal((await verify()).end.number, 1);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.includes('lock')),
      [],
    );
  });

  it('keeps in sight that somebody has taken the files away under a process', async () => {
    const writer = opened();
    for (const action of ['one', 'two']) writer.write(lineOf(action));
    await rm(file);
    writer.write(lineOf('three'));
    await writer.close();
    assert.match(said.join(), /decisions are gone from their log/);
    const { at, problem } = await verify();
    assert.deepEqual([at, problem], [`${file}:1`, 'expected decision 1, found decision 3: what is missing is decisions 1 to 2']);
  });

  it('is not washed away by requests, however many there are', async () => {
    const settings = { file: join(folder, 'audit.jsonl'), bytes: 2_000, keep: 1 };
    const { audit, close } = createProcessAudit({
      ...{ settings, secrets: (reference: string) => reference, log, stdout: { write: () => true } },
      ...{ mask: (line: string) => line, hash: () => chainHashes({ data: folder }, {})[0] },
    });
    const request: RequestEntry = {
      ...{ timestamp: '2026-01-02T03:04:05.678Z', event_type: 'webhook_received', source: 'github', outcome: 'ignored' },
      ...{ status: 200, services: [], action: null, images: [], repositories: [], rollouts: [], resolving: [] },
      ...{ remote_address: '192.0.2.1', duration_ms: 1 },
    };
    const decision: DecisionEntry = {
      ...{ timestamp: '2026-01-02T03:04:05.678Z', event_type: 'decision_made', source: 'operator', outcome: 'accepted' },
      ...{ status: 'accepted', action: 'hold', services: ['web'], images: [], repositories: [], by: 'ann', workflow: 'lane:web' },
    };
    audit(decision);
    for (let count = 0; count < 500; count += 1) {
      audit(request);
      if (count % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    audit(decision);
    await close();
    assert.ok(existsSync(`${settings.file}.1`) && !existsSync(`${settings.file}.2`));
    assert.equal((await verify()).end.number, 2);
  });
});

describe('the chain of decisions', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'landfall-chain-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** @returns lines of a chain, made with the first hash that these secrets give */
  const chain = (count: number, env: Record<string, string> = {}, from = chainBeginning): string[] => {
    const [hash] = chainHashes({ data: folder }, env);
    let end = from;
    return Array.from({ length: count }, (_, index) => {
      const next = chainedText(lineOf(`action-${index}`).trimEnd(), end, hash);
      end = next.end;
      return next.text;
    });
  };
  const verdict = async (lines: readonly string[], env: Record<string, string> = {}) => {
    await writeFile(join(folder, 'audit-decisions.jsonl'), lines.map((line) => `${line}\n`).join(''));
    const audit = { file: join(folder, 'audit.jsonl'), bytes: 1, keep: 1 };
    const [{ at, problem } = {}] = await verifyAudit({ audit, data: folder }, env);
    return problem === undefined ? 'fits' : `${at?.split(':').at(-1)}: ${problem}`;
  };
  const changed = (lines: readonly string[], index: number, change: (line: string) => string) =>
    lines.map((line, at) => (at === index ? change(line) : line));

  for (const [what, env] of [
    ['plain', {}],
    ['keyed', { LANDFALL_KEY: key }],
  ] as const) {
    it(`${what}: shows the first line that was changed, taken out, put in or moved`, async () => {
      const lines = chain(6, env);
      const [one = '', two = '', three = '', ...rest] = lines;
      assert.equal(await verdict(lines, env), 'fits');
      assert.match(
        await verdict(
          changed(lines, 2, (line) => line.replace('action-2', 'action-9')),
          env,
        ),
        /^3: its hash is not/,
      );
      assert.match(
        await verdict(
          changed(lines, 5, (line) => line.replace('action-5', 'action-9')),
          env,
        ),
        /^6: its hash is not/,
      );
      assert.match(
        await verdict([one, three, ...rest], env),
        /^2: expected decision 2, found decision 3: .*missing is decision 2$/,
      );
      assert.match(await verdict([two, three, ...rest], env), /^1: expected decision 1, found decision 2/);
      assert.match(await verdict([one, two, two, three, ...rest], env), /^3: expected decision 3, found decision 2/);
      assert.match(await verdict([one, three, two, ...rest], env), /^2: expected decision 2, found decision 3/);
      assert.match(await verdict([one, '{"torn', three, ...rest], env), /^3: expected decision 2, found decision 3/);
      assert.equal(await verdict([one, two, '{"torn', three, ...rest], env), 'fits');
    });
  }

  it('made anew from a changed line on, without the key, shows where the key is', async () => {
    const lines = chain(4, { LANDFALL_KEY: key });
    const [, , third] = lines.map(readChained);
    const forged = [...lines.slice(0, 3), ...chain(2, {}, third)];
    assert.match(await verdict(forged, { LANDFALL_KEY: key }), /^4: it is made without the key/);
    const otherKey = chain(2, { LANDFALL_KEY: 'another'.repeat(8) }, third);
    assert.match(await verdict([...lines.slice(0, 3), ...otherKey], { LANDFALL_KEY: key }), /^4: .* made with another key/);
    const cut = [...chain(2), ...chain(2)];
    assert.match(await verdict(cut), /^3: expected decision 3, found decision 1/);
  });

  it('of another beginning does not follow what is here', async () => {
    const [one = '', two = ''] = chain(2);
    const other = chainedText(lineOf('other').trimEnd(), chainBeginning, chainHashes({ data: folder }, {})[0]).text;
    assert.match(await verdict([other, two]), /^2: it does not follow decision 1 as that is here/);
    assert.equal(await verdict([one, two]), 'fits');
  });

  it('takes the key of the data folder, each of several, and what was made before there was one', async () => {
    const plain = chain(2);
    writeFileSync(join(folder, 'landfall.key'), `${key}\nsealed since 2026-01-01T00:00:00.000Z\n`);
    const last = readChained(plain[1] ?? '');
    const keyed = chain(2, {}, last);
    assert.equal(readChained(keyed[0] ?? '')?.name, 'hmac-sha256');
    assert.equal(await verdict([...plain, ...keyed]), 'fits');
    await rm(join(folder, 'landfall.key'));
    assert.match(await verdict([...plain, ...keyed]), /^3: its hash is made with a key, and there is none here/);
    assert.equal(await verdict([...plain, ...keyed], { LANDFALL_KEY: `${'new'.repeat(20)} ${key}` }), 'fits');
  });
});
