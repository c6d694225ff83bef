import { editRefused, listed, quotedLike, targetNotFound, type ValueLocation } from './location.ts';

/** How many lines an error names. */
const mostShown = 5;

/** The value of a key in a file of `KEY=value` lines, as Docker Compose and shells read it. */
export function findInEnvFile(text: string, file: string, key: string): ValueLocation[] {
  const assignments = assignmentsOf(text);
  const found = assignments.filter((assignment) => assignment.name === key);
  const [one, another] = found;
  if (one === undefined)
    throw targetNotFound(file, `key ${key}`, `its keys are: ${listed(assignments.map((each) => each.name))}`);
  if (another !== undefined) {
    const lines = found.slice(0, mostShown).map(({ start }) => text.slice(0, start).split(/\r\n|\r|\n/).length);
    throw editRefused(file, `${key} is set on lines ${lines.join(' and ')}, expected once; remove all but one`);
  }
  return [one];
}

/** Quoted values may go over several lines; what looks like an assignment inside one is none. */
function assignmentsOf(text: string): ValueLocation[] {
  const line = /^(\uFEFF?[ \t]*(?:export[ \t]+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*)("(?:\\[\s\S]|[^"\\])*"|'[^']*'|[^\r\n]*)/gm;
  return Array.from(text.matchAll(line), (found) => {
    const [, before = '', name = '', raw = ''] = found;
    const start = found.index + before.length;
    const quote = /^(["']).*\1$/s.exec(raw)?.[1] ?? '';
    const written = quote === '' ? raw.replace(/(?:^|[ \t])#.*$/, '').trimEnd() : raw;
    const value = quote === '' ? written : raw.slice(1, -1);
    return { name, start, end: start + written.length, value, write: quotedLike(quote) };
  });
}
