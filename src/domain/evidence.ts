import { shortened } from './inert-text.ts';

/**
 * What a check found, for people: proposals, statuses of commits and `landfall show` print any of it. Plain text, except that `text` and
 * `items` may put names between backticks, which a proposal shows as code. It may quote what an image says of itself: show it escaped. It is
 * kept in workflow histories, so a check brings `items` of an image that passed, and what a person decides by (`rows`, `log`) of one that did not.
 */
export interface Evidence {
  /** What was done, in a word or two: `Scanned`. */
  readonly title: string;
  readonly passed: boolean;
  /** What came out, as a part of a sentence: `3 high, 1 low`. */
  readonly text: string;
  /** In place of `text` where there is room for one line only, such as the status of a commit. */
  readonly short?: string;
  /** Details, one a line, in the order of their weight. */
  readonly items?: readonly EvidenceItem[];
  /** Details in columns, each row as its cells, for a terminal. */
  readonly rows?: readonly (readonly string[])[];
  /** The end of a log, with secrets masked. */
  readonly log?: string;
  /** Paths in the artifacts folder. */
  readonly artifacts?: readonly string[];
}

export interface EvidenceItem {
  /** What is seen first: `critical`. */
  readonly label?: string;
  readonly text: string;
}

const longest = { pieces: 5, lines: 20, line: 1_000, cell: 200, title: 60, log: 4_096 } as const;

/** Cut to what a history and a proposal can hold, a few KiB for each piece. What is cut ends in `…`; of a log, the end is kept. */
export function bounded(evidence: readonly Evidence[]): Evidence[] {
  return evidence.slice(0, longest.pieces).map(({ title, passed, text, short, items, rows, log, artifacts }) => ({
    title: shortened(title, longest.title),
    passed,
    text: shortened(text, longest.line),
    ...(short !== undefined && { short: shortened(short, longest.line) }),
    ...(items !== undefined && {
      items: items.slice(0, longest.lines).map((item) => ({
        ...(item.label !== undefined && { label: shortened(item.label, longest.title) }),
        text: shortened(item.text, longest.line),
      })),
    }),
    ...(rows !== undefined && { rows: rows.slice(0, longest.lines).map(boundedCells) }),
    ...(log !== undefined && { log: log.slice(-longest.log) }),
    ...(artifacts !== undefined && { artifacts: boundedCells(artifacts) }),
  }));
}

function boundedCells(cells: readonly string[]): string[] {
  return cells.slice(0, longest.lines).map((cell) => shortened(cell, longest.cell));
}

/** Text between backticks, for `text`, and that of `items`. */
export function quoted(value: string): string {
  return `\`${value.replaceAll('`', "'")}\``;
}

export function withoutQuotes(text: string): string {
  return text.replaceAll('`', '');
}

/** Whether something from a history, which a worker of any version wrote, is a piece of evidence. */
export function isEvidence(value: unknown): value is Evidence {
  if (typeof value !== 'object' || value === null || !('title' in value && 'passed' in value && 'text' in value)) return false;
  return typeof value.title === 'string' && typeof value.text === 'string';
}
