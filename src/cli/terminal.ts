import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { stripVTControlCharacters } from 'node:util';
import type { Environment } from '../domain/environment.ts';

/** Statuses by their colour, as ECMA-48 numbers it: green, red and yellow. */
const colours: Readonly<Record<number, readonly string[]>> = {
  32: ['delivered', 'proposed', 'passed', 'healthy'],
  31: ['blocked', 'failed', 'rolled-back', 'rejected', 'terminated', 'unhealthy'],
  33: ['running', 'waiting', 'watched'],
};

/** A status in its colour, on a terminal that shows colours. @param status as whose colour another text is shown */
export function coloured(
  text: string,
  { width, env }: { readonly width?: number; readonly env: Environment },
  status = text,
): string {
  const [colour] = Object.entries(colours).find(([, statuses]) => statuses.includes(status)) ?? [];
  return width === undefined || env.NO_COLOR || colour === undefined ? text : `\u001b[${colour}m${text}\u001b[0m`;
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

/** Columns in which the beginning of a sentence still says something. */
const leastRoom = 12;

/**
 * Aligned columns, two spaces apart. On a terminal the last cell of a line that is too long is shortened; where that left next to nothing of it,
 * the line is whole, and the terminal breaks it. Line breaks in cells become spaces.
 */
export function table(rows: readonly (readonly string[])[], width?: number): string[] {
  const cells = rows.map((row) => row.map((cell) => cell.replace(/\s*[\r\n]+\s*/g, ' ')));
  const widths: number[] = [];
  for (const row of cells)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, visibleLength(cell));
  const pad = (cell: string, column: number): string => cell + ' '.repeat((widths[column] ?? 0) - visibleLength(cell));
  return cells.map((row) => {
    const line = row.map(pad).join('  ').trimEnd();
    if (width === undefined || visibleLength(line) <= width) return line;
    // In the last cell stands the prose, which can be shortened.
    const before = row
      .slice(0, -1)
      .map((cell, column) => `${pad(cell, column)}  `)
      .join('');
    const room = width - visibleLength(before) - 1;
    return room < leastRoom ? line : `${before}${stripVTControlCharacters(row.at(-1) ?? '').slice(0, room)}…`;
  });
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** `250ms`, `3s`, `2m5s`, `4h10m`, `3d2h`: one word, so that it stays in its column. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (milliseconds < 1000) return `${Math.max(0, Math.round(milliseconds))}ms`;
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3600)}h`;
}

/** Lines of a log, so that nothing in them passes for ours or steers the terminal. */
export function markedLines(log: string): string[] {
  return Array.from(log.trimEnd().split('\n'), (line) => `| ${/^ */.exec(line)?.[0]}${plain(line)}`);
}

/** `3m5s ago`, of an ISO 8601 time. */
export function ago(at: string): string {
  return `${formatDuration(Date.now() - Date.parse(at))} ago`;
}
