import type { RolloutState, StepState, Waiver } from './rollout-state.ts';
import { maySkip } from './rollout-state.ts';

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
  if (waiver.of === 'other-changes')
    return `${nameOf(waiver)}: changes besides the image let through by ${waiver.by}: ${waiver.reason}`;
  return `${nameOf(waiver)} skipped by ${waiver.by}: ${waiver.reason}`;
}

/** Without `rollout:`, as commands take it. */
export function shortRollout(rollout: string): string {
  return rollout.replace(/^rollout:/, '');
}

/** The commands that decide about a blocked step. */
export function decisionAdvice(rollout: string, blocked: Pick<StepState, 'step' | 'stage' | 'failure'>): string {
  const { step, stage } = blocked;
  const id = shortRollout(rollout);
  const at = `${id} ${step}${stage === undefined ? '' : ` --stage ${stage}`}`;
  const skip = maySkip(blocked) ? `skip ${at} --reason TEXT, ` : '';
  return `decide: landfall retry ${at}, ${skip}reject ${at}, or abort ${id}`;
}

/** `scan`, or `propose (staging)`. */
export function nameOf({ step, stage }: Pick<StepState, 'step' | 'stage'>): string {
  return stage === undefined ? step : `${step} (${stage})`;
}
