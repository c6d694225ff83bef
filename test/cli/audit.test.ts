import assert from 'node:assert/strict';
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { chainHashes } from '../../src/config/chain-hashes.ts';
import type { AuditLine } from '../../src/domain/audit.ts';
import { chainBeginning, chainedText } from '../../src/domain/decision-chain.ts';
import { landfall, landfallHere } from './command.ts';

const request = (overrides: object = {}): AuditLine => ({
  timestamp: '2026-01-02T03:04:05.678Z',
  event_type: 'webhook_received',
  source: 'github',
  outcome: 'accepted',
  status: 202,
  service: 'web',
  action: 'published',
  repository: 'team/source',
  image: 'ghcr.io/team/web',
  rollouts: ['rollout:web:latest:0123456789ab'],
  resolving: [],
  remote_address: '192.0.2.7',
  duration_ms: 3,
  ...overrides,
});

const decision = (overrides: object = {}): AuditLine => ({
  timestamp: '2026-01-02T03:05:00.000Z',
  event_type: 'decision_made',
  source: 'operator',
  outcome: 'accepted',
  status: 'accepted',
  service: 'web',
  repository: null,
  image: 'ghcr.io/team/web',
  action: 'skip',
  by: 'ann',
  reason: 'known',
  stage: 'production',
  step: 'watch',
  workflow: 'rollout:web:latest:0123456789ab',
  ...overrides,
});

const refusal = (overrides: object = {}): AuditLine => ({
  timestamp: '2026-01-02T03:06:00.000Z',
  event_type: 'decision_refused',
  source: 'operator',
  outcome: 'refused',
  status: 403,
  service: 'web',
  repository: null,
  image: null,
  action: 'hold',
  by: 'vic',
  reason: 'This takes the role approve.',
  ...overrides,
});

const lines = (...entries: readonly unknown[]): string => entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');

describe('landfall audit', () => {
  let cwd: string;
  let file: string;
  beforeEach(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'landfall-audit-'));
    file = join(cwd, 'log.jsonl');
    await writeFile(join(cwd, 'landfall.yaml'), 'audit: { file: log.jsonl }\n');
  });
  afterEach(() => rm(cwd, { recursive: true }));

  const audit = (...words: string[]) => landfallHere(['audit', ...words], { cwd });
  const sources = (stdout: string): string[] => stdout.split('\n').flatMap((line) => line.split(/ {2,}/)[1]?.trim() ?? []);

  it('prints one line for each entry: who came, what was answered, and what came of it', async () => {
    const entries = [
      request(),
      request({ outcome: 'limited', status: 429, service: null, repository: null, image: null, rollouts: [], omitted: 41 }),
      request({ outcome: 'ignored', status: 200, rollouts: [], ignored: 'no tag' }),
      decision(),
      refusal({ action: 'approve', workflow: 'rollout:web:latest:0123456789ab', stage: 'production' }),
      refusal({ outcome: 'unauthenticated', status: 401, by: 'somebody', action: '/hold', omitted: 3 }),
      {
        ...decision(),
        event_type: 'registry_searched',
        source: 'search',
        outcome: 'found',
        registry: 'ghcr.io',
        found: ['a:1@sha256:0'],
      },
    ];
    await writeFile(file, lines(...entries));
    const { stdout, stderr, exitCode } = await audit();
    assert.deepEqual({ stderr, exitCode }, { stderr: '', exitCode: 0 });
    assert.deepEqual(
      stdout
        .trimEnd()
        .split('\n')
        .map((line) => line.replace(/ {2,}/g, ' | ')),
      [
        '2026-01-02T03:04:05.678Z | github | accepted | 202 | ghcr.io/team/web | web | rollout:web:latest:0123456789ab',
        '2026-01-02T03:04:05.678Z | github | limited | 429 | - | - | and 41 more like it',
        '2026-01-02T03:04:05.678Z | github | ignored | 200 | ghcr.io/team/web | web | no tag',
        '2026-01-02T03:05:00.000Z | operator | accepted | accepted | ghcr.io/team/web | web | skip production watch by ann: known (rollout:web:latest:0123456789ab)',
        '2026-01-02T03:06:00.000Z | operator | refused | 403 | - | web | approve production by vic: This takes the role approve. (rollout:web:latest:0123456789ab)',
        '2026-01-02T03:06:00.000Z | operator | unauthenticated | 401 | - | web | /hold by somebody: This takes the role approve. (and 3 more like it)',
        '2026-01-02T03:05:00.000Z | search | found | accepted | ghcr.io/team/web | web | a:1@sha256:0',
      ],
    );
  });

  it('--verify says that nothing was changed, or the first decision that does not fit, and exits 1 then', async () => {
    const decisions = join(cwd, 'log-decisions.jsonl');
    const { stderr, exitCode: none } = await audit('--verify');
    assert.equal(none, 1);
    assert.match(stderr, /there is no log of decisions at .*log-decisions\.jsonl: nobody has decided anything here yet/);
    const env = { LANDFALL_KEY: 'k'.repeat(64) };
    const [hash] = chainHashes({ data: cwd }, env);
    const first = chainedText(JSON.stringify(decision()), chainBeginning, hash);
    const second = chainedText(JSON.stringify(decision({ action: 'approve' })), first.end, hash);
    await writeFile(`${decisions}.1`, `${first.text}\n`);
    await writeFile(decisions, `${second.text}\n`);
    const verify = async (...words: string[]) => await landfallHere(['audit', '--verify', ...words], { cwd, env });
    assert.deepEqual(await verify(), {
      exitCode: 0,
      stdout: `${decisions}: 2 decisions, nothing changed or taken out; the last hash is ${second.end.hash}\n`,
      stderr: '',
    });
    // They are entries of the log like any others.
    assert.deepEqual(sources((await audit()).stdout), ['operator', 'operator']);
    await writeFile(`${decisions}.1`, `${first.text.replace('ann', 'ben')}\n`);
    const wrong = await verify();
    assert.equal(wrong.exitCode, 1);
    assert.match(wrong.stdout, /log-decisions\.jsonl\.1:1: its hash is not that of what it says under the key/);
    const { at, problem } = JSON.parse((await verify('--json')).stdout) as { at: string; problem: string };
    assert.deepEqual([at, /its hash/.test(problem)], [`${decisions}.1:1`, true]);
  });

  it('reads the rotated files too, the oldest first, packed or not, and no file of another name', async () => {
    await writeFile(`${file}.10.gz`, gzipSync(lines(request({ source: 'ten' }))));
    await writeFile(`${file}.2`, lines(request({ source: 'two' })));
    await writeFile(`${file}.1`, lines(request({ source: 'one' })));
    await writeFile(file, lines(request({ source: 'now' })));
    await writeFile(`${file}.1.bak`, lines(request({ source: 'bak' })));
    await writeFile(`${file}x.1`, lines(request({ source: 'other' })));
    assert.deepEqual(sources((await audit()).stdout), ['ten', 'two', 'one', 'now']);
  });

  it('finds what was rotated away where the newest file is not there yet', async () => {
    await writeFile(file, lines(request({ source: 'one' })));
    await rename(file, `${file}.1`);
    assert.deepEqual(sources((await audit()).stdout), ['one']);
  });

  it('shows only what is asked for: since a time, of a source, with an outcome, about a service', async () => {
    const hourAgo = new Date(Date.now() - 3_600_000).toISOString();
    await writeFile(
      file,
      lines(
        request({ source: 'old' }),
        request({ source: 'quay', timestamp: hourAgo, service: 'api,web' }),
        request({ source: 'gar', timestamp: hourAgo, service: 'website', outcome: 'malformed', status: 400 }),
      ),
    );
    const shown = async (...words: string[]) => sources((await audit(...words)).stdout);
    assert.deepEqual(await shown('--since', '2h'), ['quay', 'gar']);
    assert.deepEqual(await shown('--since', '30m'), []);
    assert.deepEqual(await shown('--since', '2026-01-02T03:04:05Z'), ['old', 'quay', 'gar']);
    assert.deepEqual(await shown('--since', '2026-01-02T04:04:05+00:00'), ['quay', 'gar']);
    assert.deepEqual(await shown('--since', '2026-01-03'), ['quay', 'gar']);
    assert.deepEqual(await shown('--source', 'gar'), ['gar']);
    assert.deepEqual(await shown('--outcome', 'malformed'), ['gar']);
    assert.deepEqual(await shown('--service', 'web'), ['old', 'quay']);
    const { stderr, exitCode } = await audit('--source', 'nobody');
    assert.deepEqual({ stderr, exitCode }, { stderr: `no such entries among the 3 of ${file}\n`, exitCode: 0 });
  });

  for (const since of ['yesterday', '5', '24 h', '2026-13-01', '2026-01-32', '-1h']) {
    it(`refuses --since '${since}', and says what is expected`, async () => {
      const { stderr, exitCode } = await audit(`--since=${since}`);
      assert.equal(exitCode, 2);
      assert.match(stderr, /--since: expected 30m, 24h, 7d or a time/);
    });
  }

  it('leaves out a last line that is torn, and whatever is no entry, and says so', async () => {
    await writeFile(file, lines(request({ source: 'whole' }), [], null, { timestamp: 1 }, 'text'));
    await appendFile(file, '\n{"timestamp":"2026-01-02T03:04');
    const { stdout, stderr, exitCode } = await audit();
    assert.deepEqual(sources(stdout), ['whole']);
    assert.equal(stderr, '5 lines of the audit log left out: torn, or no entry of Landfall\n');
    assert.equal(exitCode, 0);
  });

  it('prints JSON lines, and lets nothing in the file steer the terminal', async () => {
    const evil = request({ ignored: 'a\u001b[2Jb\u009bc\u202ed\ne', source: '\u001b]0;x\u0007y', rollouts: 7, omitted: {} });
    await writeFile(file, lines(evil));
    const [asText, asJson] = [await audit(), await audit('--json')];
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that there is none is what is tested
    for (const { stdout } of [asText, asJson]) assert.doesNotMatch(stdout.trimEnd(), /[\u0000-\u001f\u007f-\u009f\u202e]/);
    assert.deepEqual(JSON.parse(asJson.stdout), evil);
  });

  it('reads what processes with other roles wrote beside it, all in the order of time', async () => {
    const at = (second: number, source: string) => request({ timestamp: `2026-01-02T03:04:0${second}.000Z`, source });
    await writeFile(file, lines(at(1, 'one'), at(4, 'four'), at(6, 'six')));
    await writeFile(join(cwd, 'log-worker.jsonl.1'), lines(at(2, 'two')));
    await writeFile(join(cwd, 'log-worker.jsonl'), lines(at(3, 'three'), at(5, 'five')));
    await writeFile(join(cwd, 'log-deploy.jsonl'), lines(at(0, 'zero')));
    assert.deepEqual(sources((await audit()).stdout), ['zero', 'one', 'two', 'three', 'four', 'five', 'six']);
    await rm(file);
    assert.deepEqual(sources((await audit('--source', 'two')).stdout), ['two']);
  });

  it('says where it looked when there is no log, or one that cannot be read', async () => {
    const missing = await audit();
    assert.equal(missing.exitCode, 1);
    assert.match(missing.stderr, /there is no audit log at .*log\.jsonl/);
    await writeFile(`${file}.1.gz`, 'not packed at all');
    const broken = await audit();
    assert.equal(broken.exitCode, 1);
    assert.match(broken.stderr, /log\.jsonl\.1\.gz cannot be read to its end/);
  });

  it('is a command of its own process as well, which reads 100,000 lines in a few seconds', async function () {
    this.timeout(30_000);
    await writeFile(file, lines(request()).repeat(100_000));
    const { exitCode, stdout } = await landfall(['audit', '--outcome', 'ignored'], { cwd });
    assert.deepEqual({ exitCode, stdout }, { exitCode: 0, stdout: '' });
  });
});
