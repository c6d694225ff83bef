import { z } from 'zod';
import { text } from '../../settings/scalars.ts';
import { expecting, map, optional } from '../../settings/wording.ts';

export const severities = ['unknown', 'low', 'medium', 'high', 'critical'] as const;
export type Severity = (typeof severities)[number];

const ignoredFinding = map(
  {
    id: text('the id of a finding, such as CVE-2024-1234'),
    reason: text('a reason: why this finding is no danger here'),
    until: optional(z.iso.date(expecting('a date such as 2026-12-31')), 'The entry holds to the end of this day, UTC.'),
  },
  'One finding that does not fail the scan, and why.',
);

/** What the configuration says of scans. */
export const scanSchema = map(
  {
    failOn: optional(
      z.enum([...severities, 'none']),
      'The lowest severity that fails the scan; none only reports. Default: critical.',
    ),
    ignoreUnfixed: optional(z.boolean(), 'Findings without a fixed version do not fail the scan. Default: false.'),
    ignore: z.array(ignoredFinding).exactOptional(),
  },
  'Trivy on each wanted platform, for vulnerabilities and secrets.',
);

export type ScanPlan = Required<z.output<typeof scanSchema>>;

export interface Finding {
  readonly kind: 'vulnerability' | 'secret';
  readonly id: string;
  readonly severity: Severity;
  /** Package name, or the file that holds the secret. */
  readonly where: string;
  readonly installed?: string;
  readonly fixed?: string;
  readonly title?: string;
  readonly platform: string;
}

export interface ScanSummary {
  /** Findings by severity, before the policy, each counted once however many platforms have it. */
  readonly counts: Readonly<Record<Severity, number>>;
  /** The ten worst that the policy does not ignore, worst first. */
  readonly worst: readonly Finding[];
  /** How many findings fail the policy: 0 where the scan passed. */
  readonly failing: number;
  /** How many findings an `ignore` entry or `ignoreUnfixed` set aside. */
  readonly ignored: number;
  readonly platforms: readonly string[];
  /** When the vulnerability database was made, ISO 8601. */
  readonly database?: string;
  /** The report was made a moment ago with the same database and was used again. */
  readonly reused: boolean;
  /** Paths in the artifacts folder. */
  readonly artifacts: readonly string[];
}

type ScanVerdict = Pick<ScanSummary, 'counts' | 'worst' | 'failing' | 'ignored'>;

/** How many findings the summary names. */
const worstShown = 10;

/** @param findings of all platforms; what several have counts once. @param today decides which `ignore` entries still hold */
export function judgeFindings(findings: readonly Finding[], plan: ScanPlan, today: Date): ScanVerdict {
  const distinct = distinctFindings(findings);
  const isIgnored = ignoredBy(plan, today);
  const counted = distinct.filter((finding) => !isIgnored(finding)).sort(worstFirst);
  const counts: Record<Severity, number> = { unknown: 0, low: 0, medium: 0, high: 0, critical: 0 };
  for (const { severity } of distinct) counts[severity] += 1;
  return {
    counts,
    worst: counted.slice(0, worstShown),
    failing: counted.filter((finding) => fails(finding, plan)).length,
    ignored: distinct.length - counted.length,
  };
}

/** Why a scan failed and what to do: `2 critical findings: CVE-2021-44906 in minimist 1.2.5 (fixed in 1.2.6), ...` */
export function rejectionOf(verdict: ScanVerdict, plan: ScanPlan): string {
  const shown = verdict.worst.filter((finding) => fails(finding, plan));
  const more = verdict.failing > shown.length ? [`${verdict.failing - shown.length} more`] : [];
  const noun = verdict.failing === 1 ? 'finding' : 'findings';
  const what = plan.failOn === 'critical' ? `critical ${noun}` : `${noun} of severity ${plan.failOn} or worse`;
  const named = [...shown.map(describe), ...more].join(', ');
  return `${verdict.failing} ${what}: ${named}; update them, or add an ignore entry with a reason`;
}

function describe({ id, where, installed, fixed }: Finding): string {
  return `${id} in ${where}${installed === undefined ? '' : ` ${installed}`}${fixed === undefined ? '' : ` (fixed in ${fixed})`}`;
}

/** The same finding may be rated differently on two platforms: the worst counts, and it is fixed where any has a fix. */
function distinctFindings(findings: readonly Finding[]): Finding[] {
  const distinct = new Map<string, Finding>();
  for (const finding of findings) {
    const key = JSON.stringify([finding.kind, finding.id, finding.where, finding.installed]);
    const known = distinct.get(key);
    const worse = known === undefined || rank(finding) > rank(known) ? finding : known;
    const fixed = known?.fixed ?? finding.fixed;
    distinct.set(key, fixed === undefined ? worse : { ...worse, fixed });
  }
  return [...distinct.values()];
}

function ignoredBy({ ignore, ignoreUnfixed }: ScanPlan, today: Date): (finding: Finding) => boolean {
  const date = today.toISOString().slice(0, 10);
  const holding = ignore.filter(({ until }) => until === undefined || date <= until.slice(0, 10));
  const ids = new Set(holding.map(({ id }) => id.toLowerCase()));
  // A secret is never fixed by a newer version, so `ignoreUnfixed` says nothing about it.
  return ({ kind, id, fixed }) =>
    (ignoreUnfixed && kind === 'vulnerability' && fixed === undefined) || (ids.size > 0 && ids.has(id.toLowerCase()));
}

function fails(finding: Finding, plan: ScanPlan): boolean {
  return plan.failOn !== 'none' && rank(finding) >= severities.indexOf(plan.failOn);
}

/** By severity, what can be fixed first, then by name, so that two scans show the same. */
function worstFirst(a: Finding, b: Finding): number {
  const byFix = Number(b.fixed !== undefined) - Number(a.fixed !== undefined);
  return rank(b) - rank(a) || byFix || compareText(a.id, b.id) || compareText(a.where, b.where);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function rank({ severity }: Finding): number {
  return severities.indexOf(severity);
}
