import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Finding, judgeFindings, rejectionOf, type ScanPlan, severities } from '../../../src/checks/scan/policy.ts';

const today = new Date('2025-03-10T12:00:00Z');
const plan = (more: Partial<ScanPlan> = {}): ScanPlan => ({ failOn: 'critical', ignoreUnfixed: false, ignore: [], ...more });
const finding = (more: Partial<Finding> = {}): Finding => ({
  kind: 'vulnerability',
  id: 'CVE-2021-44906',
  severity: 'critical',
  where: 'minimist',
  installed: '1.2.5',
  fixed: '1.2.6',
  platform: 'linux/amd64',
  ...more,
});
const { fixed: _, ...unfixed } = finding({ id: 'CVE-2023-45853', where: 'zlib', installed: '1.2.13' });

const anyFinding: fc.Arbitrary<Finding> = fc
  .record({
    kind: fc.constantFrom('vulnerability' as const, 'secret' as const),
    id: fc.constantFrom('CVE-1', 'CVE-2', 'CVE-3', 'GHSA-x', 'aws'),
    severity: fc.constantFrom(...severities),
    where: fc.constantFrom('a', 'b', 'c'),
    platform: fc.constantFrom('linux/amd64', 'linux/arm64'),
    fixed: fc.option(fc.constantFrom('2', '3'), { nil: undefined }),
  })
  .map(({ fixed, ...rest }) => ({ ...rest, ...(fixed === undefined ? {} : { fixed }) }));
const anyPlan: fc.Arbitrary<ScanPlan> = fc.record({
  failOn: fc.constantFrom(...severities, 'none' as const),
  ignoreUnfixed: fc.boolean(),
  ignore: fc.array(fc.constantFrom({ id: 'cve-1', reason: 'r' }, { id: 'aws', reason: 'r', until: '2025-03-09' }), {
    maxLength: 2,
  }),
});

describe('a scan policy', () => {
  it('counts every distinct finding once, whatever their order and platform', () => {
    fc.assert(
      fc.property(fc.array(anyFinding, { maxLength: 40 }), anyPlan, (findings, policy) => {
        const verdict = judgeFindings(findings, policy, today);
        const distinct = new Set(findings.map(({ kind, id, where }) => `${kind} ${id} ${where}`)).size;
        const counted = Object.values(verdict.counts).reduce((sum, count) => sum + count, 0);
        assert.equal(counted, distinct);
        assert.equal(verdict.worst.length, Math.min(10, distinct - verdict.ignored));
        assert.ok(verdict.failing <= distinct - verdict.ignored);
        const ranks = verdict.worst.map(({ severity }) => severities.indexOf(severity));
        assert.deepEqual(
          ranks,
          [...ranks].sort((a, b) => b - a),
        );
        const twice = judgeFindings([...findings, ...findings], policy, today);
        assert.deepEqual([twice.counts, twice.failing, twice.ignored], [verdict.counts, verdict.failing, verdict.ignored]);
      }),
      { numRuns: 3000 },
    );
  });

  it('fails nothing where it only reports', () => {
    fc.assert(
      fc.property(fc.array(anyFinding), (findings) => {
        assert.equal(judgeFindings(findings, plan({ failOn: 'none' }), today).failing, 0);
      }),
    );
  });

  it('fails what is as severe as it says, or worse', () => {
    const findings = severities.map((severity) => finding({ severity, id: severity }));
    const failing = severities.map((failOn) => judgeFindings(findings, plan({ failOn }), today).failing);
    assert.deepEqual(failing, [5, 4, 3, 2, 1]);
  });

  it('takes one finding of two platforms as one, with the worse severity and the fix that either has', () => {
    const { fixed, ...low } = finding({ severity: 'low', platform: 'linux/arm64' });
    const verdict = judgeFindings([low, finding()], plan({ ignoreUnfixed: true }), today);
    assert.deepEqual([verdict.counts.critical, verdict.counts.low, verdict.failing], [1, 0, 1]);
    assert.equal(verdict.worst[0]?.fixed, fixed);
  });

  it('sets aside what has no fix, but never a secret', () => {
    const secret: Finding = { kind: 'secret', id: 'aws', severity: 'critical', where: '/a', platform: 'linux/amd64' };
    const verdict = judgeFindings([unfixed, secret], plan({ ignoreUnfixed: true }), today);
    assert.deepEqual([verdict.failing, verdict.ignored, verdict.counts.critical], [1, 1, 2]);
    assert.deepEqual(verdict.worst, [secret]);
  });

  it('sets aside what an entry names, to the end of its last day in UTC', () => {
    const judged = (until: string | undefined, at: string) =>
      judgeFindings(
        [finding()],
        plan({ ignore: [{ id: 'cve-2021-44906', reason: 'not reachable', ...(until === undefined ? {} : { until }) }] }),
        new Date(at),
      );
    assert.equal(judged(undefined, '2099-01-01T00:00:00Z').failing, 0);
    assert.equal(judged('2025-03-10', '2025-03-10T23:59:59.999Z').failing, 0);
    assert.equal(judged('2025-03-10', '2025-03-11T00:00:00.000Z').failing, 1);
    assert.equal(judged('2025-03-10', '2025-03-10T00:00:00Z').ignored, 1);
  });

  it('says what failed and what to do', () => {
    const verdict = judgeFindings([unfixed, finding()], plan(), today);
    assert.equal(
      rejectionOf(verdict, plan()),
      '2 critical findings: CVE-2021-44906 in minimist 1.2.5 (fixed in 1.2.6), CVE-2023-45853 in zlib 1.2.13; update them, or add an ignore entry with a reason',
    );
  });

  it('names ten findings and counts the rest', () => {
    const many = Array.from({ length: 13 }, (_unused, index) => finding({ id: `CVE-${index}` }));
    const sentence = rejectionOf(judgeFindings(many, plan({ failOn: 'high' }), today), plan({ failOn: 'high' }));
    assert.match(sentence, /^13 findings of severity high or worse: CVE-0 .*, 3 more; update/);
  });
});
