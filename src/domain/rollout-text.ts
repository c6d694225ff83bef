import type { StepOutcome } from './outcomes.ts';
import { maySkip, type RolloutState, type StepState, type Waiver } from './rollout-state.ts';

const marks = { pending: '▫️', running: '⏳', waiting: '⏸️', passed: '✅', blocked: '⛔', skipped: '⏭️', stopped: '⏹️' } as const;

/** A rollout as Temporal's own page shows it to somebody who never saw our code. Markdown. */
export function rolloutInMarkdown(state: RolloutState): string {
  const { image, service, status, reason, steps, proposals } = state;
  const lines = [
    `**${service}**: \`${image.repository}:${image.tag}\``,
    `\`${image.digest}\``,
    `Status: **${status}**${reason === undefined ? '' : `: ${reason}`}`,
    ...steps.map((step) => `- ${marks[step.status]} ${nameOf(step)}${step.reason === undefined ? '' : `: ${step.reason}`}`),
    ...Object.entries(proposals).map(([stage, { url }]) => `- ${stage}: ${url}`),
  ];
  const asking = steps.find(({ step, status }) => step === 'approve' && status === 'waiting');
  if (asking !== undefined) lines.push('', `Waiting for an approval of ${asking.stage}: \`approve\` or \`reject\`.`);
  if (status === 'blocked') lines.push('', 'Waiting for a decision: `retry`, `skip` (needs a reason), `reject` or `abort`.');
  return lines.join('\n');
}

/** `watch (staging) skipped by ann: it is slow to start`. */
export function waiverText(waiver: Waiver): string {
  const what = waiver.of === 'other-changes' ? ': changes besides the image let through' : ' skipped';
  return `${nameOf(waiver)}${what} by ${waiver.by}: ${waiver.reason}`;
}

/** Without `rollout:`, as commands take it. */
export function shortRollout(rollout: string): string {
  return rollout.replace(/^rollout:/, '');
}

/** The commands that decide about a blocked step. */
export function decisionAdvice(rollout: string, blocked: Pick<StepState, 'step' | 'stage' | 'failure'>): string {
  const id = shortRollout(rollout);
  const at = `${id} ${blocked.step}${blocked.stage === undefined ? '' : ` --stage ${blocked.stage}`}`;
  const skip = maySkip(blocked) ? `skip ${at} --reason TEXT, ` : '';
  return `decide: landfall retry ${at}, ${skip}reject ${at}, or abort ${id}`;
}

/** `scan`, or `propose (staging)`. */
export function nameOf({ step, stage }: Pick<StepState, 'step' | 'stage'>): string {
  return stage === undefined ? step : `${step} (${stage})`;
}

type ByKind = { readonly [Outcome in StepOutcome as Outcome['kind']]: Outcome };

const sentences: { readonly [Kind in keyof ByKind]: (outcome: ByKind[Kind]) => string } = {
  verified: ({ image: { platforms, size }, tagIs }) => {
    const names = platforms.map(({ platform }) => platform).join(', ');
    const elsewhere = tagIs === undefined ? '' : `; the tag points to ${tagIs}`;
    return `the registry has it for ${names} (${(size / 1_000_000).toFixed(1)} MB)${elsewhere}`;
  },
  confirmed: () => 'the tag still points to it',
  moved: ({ digest }) => `the tag points to ${digest} by now`,
  checked: ({ text }) => text,
  dispatched: ({ event, repository }) => `${event} sent to ${repository}`,
  proposed: ({ proposal }) => proposal.url,
  unchanged: ({ base }) => `${base} has it already`,
  outdated: ({ tag }) => `the base branch has the later ${tag}`,
  ready: () => 'nothing but the merge is missing',
  merged: ({ commit, by }) => `${commit.slice(0, 12)} is in the base branch${by === undefined ? '' : `, merged by ${by}`}`,
  'not-yet': ({ reason }) => reason,
  queued: () => 'the merge queue has it',
  snapshot: ({ running }) =>
    `before: ${running.map(({ name, reference }) => `${name} runs ${reference}`).join(', ') || 'nothing ran'}`,
  deployed: ({ text }) => text,
  watched: ({ healthyAfterMs, readings, failed, slowestMs, proof }) => {
    const seconds = (milliseconds: number) => `${(milliseconds / 1000).toFixed(1)} s`;
    const failures = failed === 0 ? '' : `, ${failed} of them failed`;
    const proven = proof === 'none' ? '' : `, digest proven by the ${proof}`;
    return `healthy after ${seconds(healthyAfterMs)}, ${readings} readings${failures}, slowest ${seconds(slowestMs)}${proven}`;
  },
  'rate-limited': ({ until }) => `asked to wait until ${until}`,
};

/** What came out of a step, in one sentence for people. */
export function sentenceOf(outcome: StepOutcome): string {
  return sentenceAs(outcome.kind, outcome);
}

function sentenceAs<Kind extends keyof ByKind>(kind: Kind, outcome: ByKind[Kind]): string {
  return sentences[kind](outcome);
}
