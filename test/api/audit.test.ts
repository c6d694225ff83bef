import assert from 'node:assert/strict';
import { type AuditEntry, type RequestEntry, type RequestLine, servicesIn } from '../../src/domain/audit.ts';
import { createAudit, thinFloods } from '../../src/telemetry/audit.ts';
import { eventually } from '../support/wait.ts';

const request = (overrides: Partial<RequestEntry> = {}): RequestEntry => ({
  timestamp: '2026-01-02T03:04:05.678Z',
  event_type: 'webhook_received',
  source: 'quay',
  outcome: 'limited',
  status: 429,
  services: [],
  action: null,
  images: [],
  repositories: [],
  rollouts: [],
  resolving: [],
  remote_address: '192.0.2.7',
  duration_ms: 0,
  ...overrides,
});

describe('the audit of requests', () => {
  it('is one line of JSON for each, whatever is in it', () => {
    const written: string[] = [];
    const audit = createAudit({ write: (line: string) => written.push(line) });
    const entry = request({ ignored: 'a\nb\u2028c"d' });
    audit(entry);
    audit(entry);
    assert.equal(written.length, 2);
    for (const line of written) {
      assert.equal(line.indexOf('\n'), line.length - 1);
      const { services: _services, images: _images, repositories: _repositories, ...same } = entry;
      assert.deepEqual(JSON.parse(line), { ...same, service: null, repository: null, image: null });
    }
  });

  it('joins names by commas in its line alone, in which they are found again', () => {
    const written: string[] = [];
    const audit = createAudit({ write: (line: string) => written.push(line) });
    audit(request({ services: ['web', 'api'], repositories: ['team/web'], images: ['ghcr.io/team/web', 'ghcr.io/team/api'] }));
    const [line = ''] = written;
    const { service, repository, image } = JSON.parse(line) as RequestLine;
    assert.deepEqual([service, repository, image], ['web,api', 'team/web', 'ghcr.io/team/web,ghcr.io/team/api']);
    assert.deepEqual([servicesIn({ service }), servicesIn({ service: null })], [['web', 'api'], []]);
    assert.match(line, /^\{"timestamp":"[^"]+","event_type":"webhook_received","source":"quay",/);
  });

  /** What reaches the log, and how many requests that stands for. */
  const aLog = (everyMs?: number) => {
    const written: AuditEntry[] = [];
    const thinned = thinFloods((entry) => written.push(entry), everyMs);
    const of = (source: string) => written.filter((entry) => entry.source === source) as RequestEntry[];
    const counted = (source: string) => of(source).reduce((sum, { omitted = 0 }) => sum + 1 + omitted, 0);
    return { ...thinned, written, of, counted };
  };

  it('says of a flood over the rate limit that it began, and then how large it was, and counts every request', () => {
    const { audit, flush, of, counted } = aLog();
    for (let count = 0; count < 5_000; count += 1) audit(request({ duration_ms: count }));
    assert.equal(of('quay').length, 1);
    flush();
    assert.deepEqual(
      of('quay').map(({ omitted, duration_ms }) => ({ omitted, duration_ms })),
      [
        { omitted: undefined, duration_ms: 0 },
        { omitted: 4_998, duration_ms: 4_999 },
      ],
    );
    assert.equal(counted('quay'), 5_000);
    flush();
    assert.equal(of('quay').length, 2);
  });

  it('writes what it holds back without anything else having to come', async () => {
    const { audit, of, counted } = aLog(20);
    for (let count = 0; count < 10; count += 1) audit(request());
    await eventually('the rest of the flood', async () => of('quay').length === 2);
    assert.equal(counted('quay'), 10);
    audit(request());
    await eventually('what came later', async () => counted('quay') === 11);
  });

  for (const outcome of ['unauthenticated', 'not-found', 'malformed', 'too-large', 'timed-out', 'aborted'] as const) {
    it(`thins requests alike that are ${outcome}, which anybody can send, and counts each source and outcome by itself`, () => {
      const { audit, flush, of, counted } = aLog();
      for (let count = 0; count < 1_000; count += 1) {
        audit(request({ outcome }));
        audit(request());
        audit(request({ source: 'gar', outcome }));
      }
      assert.deepEqual([of('quay').length, of('gar').length], [2, 1]);
      flush();
      assert.deepEqual([counted('quay'), counted('gar')], [2_000, 1_000]);
    });
  }

  it('holds back nothing of what takes a proof, or tells of a fault of ours', () => {
    const { audit, written } = aLog();
    for (const outcome of ['accepted', 'ignored', 'failed', 'unavailable'] as const) {
      for (let count = 0; count < 5; count += 1) audit(request({ outcome }));
    }
    assert.equal(written.length, 20);
  });

  it('leaves out nothing where a flood is of two', () => {
    const { audit, flush, of } = aLog();
    audit(request());
    audit(request());
    flush();
    assert.deepEqual(of('quay'), [request(), request()]);
  });
});
