import { editRefused, lineAt, listed, quotedLike, targetNotFound, type ValueLocation } from './location.ts';

/** How many lines an error names. */
const mostShown = 5;

interface Assignment {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly quote: string;
  readonly value: string;
}

/** The value of a key in a file of `KEY=value` lines, as Docker Compose and shells read it. */
export function findInEnvFile(text: string, file: string, key: string): ValueLocation[] {
  const assignments = assignmentsOf(text);
  const found = assignments.filter((assignment) => assignment.key === key);
  const [one, another] = found;
  if (one === undefined) throw targetNotFound(file, `key ${key}`, `its keys are: ${listed(assignments.map((each) => each.key))}`);
  if (another !== undefined) {
    const lines = found
      .slice(0, mostShown)
      .map(({ start }) => lineAt(text, start))
      .join(' and ');
    throw editRefused(file, `${key} is set on lines ${lines}, expected once; remove all but one`);
  }
  return [{ name: key, start: one.start, end: one.end, value: one.value, write: quotedLike(one.quote) }];
}

/** Quoted values may go over several lines; what looks like an assignment inside one is none. */
function assignmentsOf(text: string): Assignment[] {
  const line = /^(\uFEFF?[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*)("(?:\\[\s\S]|[^"\\])*"|'[^']*'|[^\r\n]*)/gm;
  return Array.from(text.matchAll(line), (found) => {
    const [, before = '', key = '', raw = ''] = found;
    const start = found.index + before.length;
    const quote = /^(["']).*\1$/s.exec(raw)?.[1] ?? '';
    const written = quote === '' ? raw.replace(/(?:^|[ \t])#.*$/, '').trimEnd() : raw;
    return { key, start, end: start + written.length, quote, value: quote === '' ? written : raw.slice(1, -1) };
  });
}
