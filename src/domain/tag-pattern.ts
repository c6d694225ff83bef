import { RE2JS, RE2JSException } from 're2js';

/**
 * Regular expressions over tags, matched in linear time by RE2. A tag is text from strangers and a pattern is text from a configuration:
 * JavaScript's own matcher can take longer than the universe for 40 letters and `^(a+)+$`, inside a workflow at that.
 */

/** Thrown for a pattern that cannot be used; the message says why. */
export class InvalidPattern extends Error {
  constructor(pattern: string, why: string) {
    super(`'${pattern}' is not a pattern for tags: ${why}`);
    this.name = 'InvalidPattern';
  }
}

export interface TagPattern {
  /** What the first group matched, else the whole text; undefined where the pattern does not match the whole text. */
  match(text: string): string | undefined;
}

const longestPattern = 500;
/** Compiling costs a hundred times what matching does, and whole lists of tags are matched: what was compiled is kept. */
const compiledPatterns = new Map<string, TagPattern>();
/** When this many are kept, all are forgotten: far above what configurations have, so that it happens to hardly anybody. */
const mostKept = 200;

/** @throws InvalidPattern */
export function compilePattern(pattern: string): TagPattern {
  const known = compiledPatterns.get(pattern);
  if (known !== undefined) return known;
  const compiled = compileAnew(pattern);
  if (compiledPatterns.size >= mostKept) compiledPatterns.clear();
  compiledPatterns.set(pattern, compiled);
  return compiled;
}

function compileAnew(pattern: string): TagPattern {
  if (pattern.length > longestPattern) throw new InvalidPattern(pattern, `expected at most ${longestPattern} characters`);
  const compiled = compile(pattern);
  return {
    match(text) {
      const matcher = compiled.matcher(text);
      if (!matcher.matches()) return undefined;
      return (compiled.groupCount() > 0 ? matcher.group(1) : undefined) ?? text;
    },
  };
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (error instanceof RE2JSException)
      throw new InvalidPattern(pattern, `${error.message} (the syntax is RE2's: no look-around, no back-references)`);
    throw error;
  }
}
