import { messageOf } from '../domain/errors.ts';
import { shortened } from '../domain/inert-text.ts';

/** What one probe found. The text names the probe and what it answered, on one line. */
export interface ProbeAnswer {
  /** `none`: nobody could answer, or it is not decided yet. `away`: the Docker daemon did not. `refused`: bad, and it stays so. */
  readonly kind: 'good' | 'bad' | 'refused' | 'none' | 'away';
  readonly text: string;
}

const longestText = 300;

/**
 * One answer of several. Where the Docker daemon is away, its containers are down with it, so nothing that fails then is held against
 * them; else what failed says so, and what is not decided after that.
 */
export function together(answers: readonly ProbeAnswer[]): ProbeAnswer {
  for (const kind of ['refused', 'away', 'bad', 'none'] as const) {
    const found = answers.filter((answer) => answer.kind === kind || (kind === 'refused' && answer.kind === 'bad'));
    if (found.some((answer) => answer.kind === kind)) return { kind, text: line(found) };
  }
  return { kind: 'good', text: line(answers) };
}

function line(answers: readonly ProbeAnswer[]): string {
  const texts = [...new Set(answers.map(({ text }) => text.replaceAll(/\s+/g, ' ').trim()))];
  return shortened(texts.join('; '), longestText);
}

/** What is wrong, in words; Node names one error for each address of a host that it tried. */
export function messageOfAll(error: unknown): string {
  return error instanceof AggregateError ? error.errors.map(messageOf).join(', ') : messageOf(error);
}
