import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { stripVTControlCharacters } from 'node:util';
import type { Environment } from '../domain/environment.ts';

type Tone = 'good' | 'bad' | 'wait' | 'dim' | 'plain';
const escapes: Readonly<Record<Tone, string>> = { good: '32', bad: '31', wait: '33', dim: '2', plain: '' };

const tones: Readonly<Record<string, Tone>> = {
  delivered: 'good',
  proposed: 'good',
  passed: 'good',
  blocked: 'bad',
  failed: 'bad',
  'rolled-back': 'bad',
  rejected: 'bad',
  terminated: 'bad',
  running: 'wait',
  waiting: 'wait',
};

/** A status in its colour, on a terminal that shows colours. */
export function coloured(status: string, { width, env }: { readonly width?: number; readonly env: Environment }): string {
  const tone = tones[status] ?? 'plain';
  return width === undefined || env.NO_COLOR || tone === 'plain' ? status : `\u001b[${escapes[tone]}m${status}\u001b[0m`;
}

/** Text from elsewhere as one line that only says something: no colours, no moving of the cursor, no turning of the direction of reading. */
export function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ')
    .trim();
}

/** Yes is `y` or `yes`; everything else, Ctrl-D and Ctrl-C too, is no. */
export async function askYesOrNo(
  question: string,
  input: NodeJS.ReadableStream,
  output: NodeJS.WritableStream,
): Promise<boolean> {
  const reader = createInterface({ input, output });
  try {
    const answer = await Promise.race([reader.question(`${question} [y/N] `), once(reader, 'close').then(() => '')]);
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    reader.close();
  }
}

/** Aligned columns, two spaces apart; on a terminal no line is longer than it is wide. Line breaks in cells become spaces. */
export function table(rows: readonly (readonly string[])[], width?: number): string[] {
  const cells = rows.map((row) => row.map((cell) => cell.replace(/\s*[\r\n]+\s*/g, ' ')));
  const columns = Math.max(0, ...cells.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...cells.map((row) => visibleLength(row[column] ?? ''))),
  );
  return cells.map((row) => {
    const line = row
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - visibleLength(cell)))
      .join('  ')
      .trimEnd();
    return width === undefined || visibleLength(line) <= width ? line : cut(row, widths, width);
  });
}

/** Shortens the last cell, where the prose stands. */
function cut(row: readonly string[], widths: readonly number[], width: number): string {
  const before = row
    .slice(0, -1)
    .map((cell, column) => `${cell + ' '.repeat((widths[column] ?? 0) - visibleLength(cell))}  `)
    .join('');
  const room = width - visibleLength(before) - 1;
  const last = stripVTControlCharacters(row[row.length - 1] ?? '');
  return room < 1 ? before.trimEnd() : `${before}${last.slice(0, room)}…`;
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** `3 s`, `2 min 5 s`, `4 h 10 min`, `3 d 2 h`, as one word so that it stays in its column. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))}ms`;
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3600)}h`;
}
