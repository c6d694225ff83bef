import { RE2JS, RE2JSException } from 're2js';
import semver from 'semver';
import { isTag, type Tag } from './image-reference.ts';

/** Which tags of a repository a service follows, and which of two is the later one. */
export type TagPolicy =
  /** These very tags; later is what the registry says now. */
  | { readonly kind: 'exact'; readonly tags: readonly Tag[] }
  /**
   * Semantic versions within a range (npm's grammar); later is greater. A tag is a version if it has all three numbers, with or without a
   * leading `v`: `1.2` and `1` are names that move, so they are never followed. Prereleases (`1.3.0-rc.1`, and so `1.3.0-alpine`) are
   * followed only if the range names one of the same three numbers (`>=1.3.0-rc.0`), as npm has it.
   */
  | { readonly kind: 'semver'; readonly range: string }
  /**
   * A regular expression over the whole tag (RE2's syntax). The first group, else the whole match, is what is compared: as text by code point,
   * as a whole number of any length (otherwise the tag is not followed), or (`newest`) not at all: the image's creation time is. With `none`
   * no tag is before another: each has a plan of its own, see `followedApart`.
   */
  | { readonly kind: 'pattern'; readonly pattern: string; readonly order: 'alphabetical' | 'numerical' | 'newest' | 'none' };

export interface Candidate {
  readonly tag: Tag;
  /** ISO 8601 creation time of the image; `newest` needs it. */
  readonly created?: string;
}

/** What is wrong with a policy, as one sentence for the author of the configuration; undefined if nothing is. */
export function problemOf(policy: TagPolicy): string | undefined {
  switch (policy.kind) {
    case 'exact':
      return problemOfTags(policy.tags);
    case 'semver':
      if (policy.range.trim() !== '' && semver.validRange(policy.range) !== null) return undefined;
      return `expected a range of semantic versions such as '>=1.2 <2' or '^1.4', found '${policy.range}'`;
    case 'pattern':
      try {
        compilePattern(policy.pattern);
        return undefined;
      } catch (error) {
        if (error instanceof InvalidPattern) return error.message;
        throw error;
      }
  }
}

function problemOfTags(tags: readonly string[]): string | undefined {
  if (tags.length === 0) return 'expected at least one tag, found none';
  const wrong = tags.find((tag) => !isTag(tag));
  if (wrong === undefined) return undefined;
  const follow = "; to follow many tags, use { semver: '>=1.0' } or { pattern: '^main-(\\d+)$', order: numerical }";
  return `expected a tag of at most 128 letters, digits, _, . and -, found '${wrong}'${wrong.includes('*') ? follow : ''}`;
}

/** Whether the service follows the tag. Pure, and never throws for any tag of any length. The policy is one without problems. */
export function follows(policy: TagPolicy, tag: string): boolean {
  if (!isTag(tag)) return false;
  switch (policy.kind) {
    case 'exact':
      return policy.tags.includes(tag);
    case 'semver':
      return semver.satisfies(tag, policy.range);
    case 'pattern': {
      const compared = compilePattern(policy.pattern)(tag);
      return compared !== undefined && (policy.order !== 'numerical' || isWholeNumber(compared));
    }
  }
}

/** Whether each tag that is followed goes its own way, as if a service of its own followed it alone. */
export function followedApart(policy: TagPolicy): boolean {
  return policy.kind === 'pattern' && policy.order === 'none';
}

/**
 * Negative: `a` is earlier than `b`. Zero: the policy does not order them (always so for exact tags, and for one tag pushed twice).
 * Both are followed tags.
 */
export function compareCandidates(policy: TagPolicy, a: Candidate, b: Candidate): number {
  if (policy.kind === 'exact' || followedApart(policy)) return 0;
  if (policy.kind === 'semver') return semver.compare(a.tag, b.tag);
  if (policy.order === 'newest') return compare(creationTime(a), creationTime(b));
  const match = compilePattern(policy.pattern);
  const [matchedA = '', matchedB = ''] = [match(a.tag), match(b.tag)];
  // Tags are ASCII, so that the order of UTF-16 units is the one of code points.
  return policy.order === 'alphabetical' ? compare(matchedA, matchedB) : compare(wholeNumber(matchedA), wholeNumber(matchedB));
}

/** The latest of followed tags; of those that the policy does not order, the first. Undefined if there are none. */
export function latestOf<Followed extends Candidate>(policy: TagPolicy, candidates: readonly Followed[]): Followed | undefined {
  const [first, ...others] = candidates;
  if (first === undefined) return undefined;
  return others.reduce((latest, next) => (compareCandidates(policy, latest, next) < 0 ? next : latest), first);
}

function compare<T extends string | number | bigint>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isWholeNumber(text: string): boolean {
  return /^\d+$/.test(text);
}

/** What is no number, which only a tag that is not followed has, comes before all numbers. */
function wholeNumber(text: string): bigint {
  return isWholeNumber(text) ? BigInt(text) : -1n;
}

/** An image without a creation time, or with an unreadable one, is earlier than every other. */
function creationTime({ created }: Candidate): number {
  const time = created === undefined ? Number.NaN : Date.parse(created);
  return Number.isNaN(time) ? -Infinity : time;
}

/**
 * Regular expressions over tags, matched in linear time by RE2. A tag is text from strangers and a pattern is text from a configuration:
 * JavaScript's own matcher can take longer than the universe for 40 letters and `^(a+)+$`, inside a workflow at that.
 */

/** A pattern that cannot be used; the message says why. */
export class InvalidPattern extends Error {}

/** What the first group matched, else the whole text; undefined if the pattern does not match the whole text. */
type TagPattern = (text: string) => string | undefined;

const longestPattern = 500;
/** Compiling costs a hundred times what matching does, and whole lists of tags are matched: what was compiled is kept. */
const compiledPatterns = new Map<string, TagPattern>();
/** When this many are kept, all are forgotten: far above what configurations have, so that it happens to hardly anybody. */
const mostKept = 200;

/** @throws InvalidPattern */
export function compilePattern(pattern: string): TagPattern {
  const known = compiledPatterns.get(pattern);
  if (known !== undefined) return known;
  const compiled = compile(pattern);
  if (compiledPatterns.size >= mostKept) compiledPatterns.clear();
  const match: TagPattern = (text) => {
    const matcher = compiled.matcher(text);
    if (!matcher.matches()) return undefined;
    return (compiled.groupCount() > 0 ? matcher.group(1) : undefined) ?? text;
  };
  compiledPatterns.set(pattern, match);
  return match;
}

function compile(pattern: string): RE2JS {
  const invalid = (why: string) => new InvalidPattern(`'${pattern}' is not a pattern for tags: ${why}`);
  if (pattern.length > longestPattern) throw invalid(`expected at most ${longestPattern} characters`);
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    throw invalid(`${error.message} (the syntax is RE2's: no look-around, no back-references)`);
  }
}
