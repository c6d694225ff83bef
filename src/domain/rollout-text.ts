import type { RolloutState, StepState } from './rollout-state.ts';

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

/** `scan`, or `propose (staging)`. */
export function nameOf({ step, stage }: Pick<StepState, 'step' | 'stage'>): string {
  return stage === undefined ? step : `${step} (${stage})`;
}
