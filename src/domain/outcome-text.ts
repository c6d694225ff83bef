import type { ConfirmOutcome, DispatchOutcome, ProposeOutcome, ScanSummary, SmokeSummary, VerifyOutcome } from './outcomes.ts';
import { severities } from './plan.ts';

export type StepOutcome = VerifyOutcome | ConfirmOutcome | ScanSummary | SmokeSummary | DispatchOutcome | ProposeOutcome;

/** What came out of a step, in one sentence for people. */
export function sentenceOf(outcome: StepOutcome): string {
  switch (outcome.kind) {
    case 'verified': {
      const { platforms, size } = outcome.image;
      return `the registry has it for ${platforms.map(({ platform }) => platform).join(', ')} (${megabytes(size)} MB)`;
    }
    case 'confirmed':
      return 'the tag still points to it';
    case 'moved':
      return `the tag points to ${outcome.digest} by now`;
    case 'scanned':
      return scanSentence(outcome);
    case 'smoked':
      return `ready by ${outcome.readyBy} after ${(outcome.readyAfterMs / 1000).toFixed(1)} s on ${outcome.platform}`;
    case 'dispatched':
      return `${outcome.event} sent to ${outcome.repository}`;
    case 'proposed':
      return outcome.proposal.url;
    case 'unchanged':
      return `${outcome.base} has it already`;
    case 'outdated':
      return `the base branch has the later ${outcome.tag}`;
    case 'rate-limited':
      return `asked to wait until ${outcome.until}`;
  }
}

/** `3 high, 1 low (2 set aside by the policy)`, or `no findings`. */
function scanSentence(scan: ScanSummary): string {
  const aside = scan.ignored === 0 ? '' : ` (${scan.ignored} set aside by the policy)`;
  return `${countsText(scan)}${aside}${scan.reused ? '; report of a moment ago' : ''}`;
}

/** `1 critical, 2 low`, worst first, or `no findings`. */
export function countsText({ counts }: ScanSummary): string {
  const found = severities.toReversed().filter((severity) => counts[severity] > 0);
  return found.map((severity) => `${counts[severity]} ${severity}`).join(', ') || 'no findings';
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}
