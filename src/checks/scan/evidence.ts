import { type Evidence, type EvidenceItem, quoted } from '../../domain/evidence.ts';
import type { Checked } from '../../domain/outcomes.ts';
import { severities } from './plan.ts';
import type { Finding, ScanSummary } from './policy.ts';

export function scanned(summary: ScanSummary): Checked {
  const aside = summary.ignored === 0 ? '' : ` (${summary.ignored} set aside by the policy)`;
  const text = `${countsText(summary)}${aside}${summary.reused ? '; report of a moment ago' : ''}`;
  return {
    kind: 'checked',
    text,
    evidence: [{ ...outcomeOf(summary), items: summary.worst.map(itemOf), artifacts: summary.artifacts }],
  };
}

/** Of an image that does not pass. */
export function scanEvidence(summary: ScanSummary): Evidence {
  return { ...outcomeOf(summary), rows: summary.worst.map(rowOf) };
}

function outcomeOf(summary: ScanSummary): Evidence {
  const { failing, ignored } = summary;
  const counts = countsText(summary);
  const passed = failing === 0;
  return {
    title: 'Scanned',
    passed,
    text: `${counts}${ignored === 0 ? '' : `, ${ignored} ignored by the policy`}`,
    short: `${counts}; ${passed ? 'none fails the policy' : `${failing} against the policy`}`,
  };
}

/** `1 critical, 2 low`, worst first, or `no findings`. */
function countsText({ counts }: ScanSummary): string {
  const found = severities.toReversed().filter((severity) => counts[severity] > 0);
  return found.map((severity) => `${counts[severity]} ${severity}`).join(', ') || 'no findings';
}

function itemOf({ severity, id, where, installed, fixed, title, kind }: Finding): EvidenceItem {
  const version = installed === undefined ? '' : ` ${quoted(installed)}`;
  const remedy = fixed === undefined ? (kind === 'vulnerability' ? ', no fix yet' : '') : `, fixed in ${quoted(fixed)}`;
  const text = `${quoted(id)} in ${quoted(where)}${version}${remedy}${title === undefined ? '' : `: ${title}`}`;
  return { label: severity, text };
}

function rowOf({ severity, id, where, installed = '', fixed, platform, title = '', kind }: Finding): string[] {
  const remedy = kind === 'secret' ? 'secret' : fixed === undefined ? 'no fix yet' : `fixed in ${fixed}`;
  return [severity, id, `${where} ${installed}`.trim(), remedy, platform, title];
}
