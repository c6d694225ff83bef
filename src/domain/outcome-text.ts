import type {
  Checked,
  ConfirmOutcome,
  Deployed,
  DispatchOutcome,
  MergeOutcome,
  ProposeOutcome,
  RevertOutcome,
  StageSnapshot,
  VerifyOutcome,
  Watched,
} from './outcomes.ts';

export type StepOutcome =
  | VerifyOutcome
  | ConfirmOutcome
  | Checked
  | DispatchOutcome
  | ProposeOutcome
  | MergeOutcome
  | StageSnapshot
  | Deployed
  | Watched
  | RevertOutcome
  /** Nothing but the merge itself is missing. */
  | { readonly kind: 'ready' };

/** What came out of a step, in one sentence for people. */
export function sentenceOf(outcome: StepOutcome): string {
  switch (outcome.kind) {
    case 'verified': {
      const { platforms, size } = outcome.image;
      const elsewhere = outcome.tagIs === undefined ? '' : `; the tag points to ${outcome.tagIs}`;
      return `the registry has it for ${platforms.map(({ platform }) => platform).join(', ')} (${megabytes(size)} MB)${elsewhere}`;
    }
    case 'confirmed':
      return 'the tag still points to it';
    case 'moved':
      return `the tag points to ${outcome.digest} by now`;
    case 'checked':
      return outcome.text;
    case 'dispatched':
      return `${outcome.event} sent to ${outcome.repository}`;
    case 'proposed':
      return outcome.proposal.url;
    case 'unchanged':
      return `${outcome.base} has it already`;
    case 'outdated':
      return `the base branch has the later ${outcome.tag}`;
    case 'ready':
      return 'nothing but the merge is missing';
    case 'merged':
      return `${outcome.commit.slice(0, 12)} is in the base branch${outcome.by === undefined ? '' : `, merged by ${outcome.by}`}`;
    case 'not-yet':
      return outcome.reason;
    case 'queued':
      return 'the merge queue has it';
    case 'snapshot':
      return `before: ${outcome.running.map(({ name, reference }) => `${name} runs ${reference}`).join(', ') || 'nothing ran'}`;
    case 'deployed':
      return outcome.text;
    case 'watched':
      return watchSentence(outcome);
    case 'rate-limited':
      return `asked to wait until ${outcome.until}`;
  }
}

/** `healthy after 2.1 s, 30 readings, 1 of them failed, slowest 0.2 s, digest proven by container` */
function watchSentence({ healthyAfterMs, readings, failed, slowestMs, proof }: Watched): string {
  const failures = failed === 0 ? '' : `, ${failed} of them failed`;
  const proven = proof === 'none' ? '' : `, digest proven by the ${proof}`;
  return `healthy after ${seconds(healthyAfterMs)}, ${readings} readings${failures}, slowest ${seconds(slowestMs)}${proven}`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}
