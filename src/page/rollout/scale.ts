/** The time of a rollout on one line: stretches in which something was done, with the long waits between them folded. */

export interface TimeSpan {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly to: number;
}

export interface FoldedScale {
  /** Where a time is, from 0 to 100. */
  readonly place: (at: number) => number;
  /** The waits that were folded, and where each stands. */
  readonly folds: readonly (TimeSpan & { readonly place: number })[];
}

/** Of the whole line, what a folded wait takes. */
const foldWidth = 4;
/** A wait shorter than this, or than the work around it, is shown as long as it was. */
const shortestFoldMs = 20_000;

/** @param spans of everything that was done, in any order */
export function foldedScale(spans: readonly TimeSpan[]): FoldedScale {
  const busy = merged(spans);
  const workMs = busy.reduce((sum, { from, to }) => sum + to - from, 0);
  const pieces = withGaps(busy).map((piece) => ({ ...piece, folded: piece.isGap && isLong(piece, workMs) }));
  const shownMs = pieces.reduce((sum, { from, to, folded }) => sum + (folded ? 0 : to - from), 0);
  const room = 100 - foldWidth * pieces.filter(({ folded }) => folded).length;
  let next = 0;
  const placed = pieces.map((piece) => {
    const width = piece.folded ? foldWidth : ((piece.to - piece.from) / Math.max(1, shownMs)) * room;
    const begin = next;
    next += width;
    return { ...piece, begin, width };
  });
  const place = (at: number): number => {
    const piece = placed.find(({ to }) => at <= to) ?? placed.at(-1);
    if (piece === undefined) return 0;
    const share = (at - piece.from) / Math.max(1, piece.to - piece.from);
    return piece.begin + Math.min(1, Math.max(0, share)) * piece.width;
  };
  const folds = placed.flatMap(({ folded, from, to, begin, width }) => (folded ? [{ from, to, place: begin + width / 2 }] : []));
  return { place, folds };
}

function isLong({ from, to }: TimeSpan, workMs: number): boolean {
  return to - from > Math.max(shortestFoldMs, workMs / 4);
}

function withGaps(busy: readonly TimeSpan[]): (TimeSpan & { readonly isGap: boolean })[] {
  return busy.flatMap((span, index) => {
    const before = busy[index - 1];
    const gap = before === undefined ? [] : [{ from: before.to, to: span.from, isGap: true }];
    return [...gap, { ...span, isGap: false }];
  });
}

function merged(spans: readonly TimeSpan[]): TimeSpan[] {
  const all: TimeSpan[] = [];
  for (const span of [...spans].sort((one, other) => one.from - other.from)) {
    const last = all.at(-1);
    if (last !== undefined && span.from <= last.to) all[all.length - 1] = { from: last.from, to: Math.max(last.to, span.to) };
    else all.push(span);
  }
  return all;
}
