import { randomUUID } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import { type RunState, stateInMarkdown } from '../domain/rollout-state.ts';
import { detailLines } from './commands/show.ts';
import type { CliContext } from './context.ts';

/** An annotation, as a job of GitHub Actions shows it beside its log: https://docs.github.com/actions/reference/workflow-commands */
export function annotation(level: 'error' | 'notice', title: string, message: string): string {
  return `::${level} title=${escaped(title).replaceAll(':', '%3A').replaceAll(',', '%2C')}::${escaped(message)}`;
}

function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

/** What images and registries say is printed, and must not command the runner: it takes no commands while the work is done. */
export async function withoutCommands<Result>(print: CliContext['print'], work: () => Promise<Result>): Promise<Result> {
  const token = randomUUID();
  print(`::stop-commands::${token}`);
  try {
    return await work();
  } finally {
    print(`::${token}::`);
  }
}

/** Adds to the summary of the job. */
export async function writeSummary(states: readonly RunState[], { GITHUB_STEP_SUMMARY: file }: CliContext['env']) {
  if (file && states.length > 0) await appendFile(file, `${states.map(inMarkdown).join('\n\n')}\n`);
}

function inMarkdown(state: RunState): string {
  const found = state.steps.filter(({ status }) => status === 'blocked').flatMap(({ details }) => detailLines(details));
  const text = found.join('\n');
  // Longer than any run of backticks in the text, which could end it.
  const fence = '`'.repeat(Math.max(2, ...Array.from(text.matchAll(/`+/g), ([run]) => run.length)) + 1);
  // Two blanks break a line in Markdown.
  const lines = stateInMarkdown(state).join('  \n');
  return text === '' ? lines : [lines, '', fence, text, fence].join('\n');
}
