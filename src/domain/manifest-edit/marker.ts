import { parse } from 'yaml';
import { InvalidReference, isDigest, isTag, parseReference } from '../image-reference.ts';
import type { ImageIdentity } from '../outcomes.ts';
import type { ChangePlan } from '../plan.ts';
import { editRefused, listed, targetNotFound, type ValueLocation } from './location.ts';

interface MarkedLine {
  /** The name in the comment. */
  readonly marker: string;
  readonly number: number;
  readonly start: number;
  /** The text before the comment. */
  readonly content: string;
}

/** Names are bounded, because a line may have thousands of comment signs from each of which one could begin. */
const comment = /^(.*?)(?:#|\/\/)[ \t]*landfall:[ \t]*([^\s#]{1,200})[ \t]*\r?$/gm;
/** A longer one is no line that a person marked. */
const longestLine = 4096;

interface MarkedWord {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/**
 * The image on each line that ends with the comment `# landfall: NAME` (or `// landfall: NAME`), in a file of any language: with
 * `value: reference` the reference to this very repository, with `bare` the last tag or digest.
 */
export function findByMarker(
  text: string,
  change: ChangePlan,
  name: string,
  image: Pick<ImageIdentity, 'repository'>,
): ValueLocation[] {
  const markers = new Map<string, MarkedLine[]>();
  for (const line of markedLines(text)) {
    const lines = markers.get(line.marker);
    if (lines === undefined) markers.set(line.marker, [line]);
    else lines.push(line);
  }
  const lines = markers.get(name);
  if (lines === undefined) {
    throw targetNotFound(
      change.file,
      `line that ends with '# landfall: ${name}'`,
      `its marked lines are for: ${listed([...markers.keys()])}`,
    );
  }
  return lines.map((line) => placeOn(line, change, image));
}

function* markedLines(text: string): Generator<MarkedLine> {
  let number = 1;
  let counted = 0;
  for (const { index, 1: content = '', 2: marker = '' } of text.matchAll(comment)) {
    for (let at = text.indexOf('\n', counted); at >= 0 && at < index; at = text.indexOf('\n', counted)) {
      number += 1;
      counted = at + 1;
    }
    yield { marker, number, start: index, content };
  }
}

function placeOn(line: MarkedLine, change: ChangePlan, image: Pick<ImageIdentity, 'repository'>): ValueLocation {
  const where = `line ${line.number}`;
  if (line.content.length > longestLine) {
    throw editRefused(
      change.file,
      `${where} has ${line.content.length} characters before its comment, expected at most ${longestLine}; put the image on a line of its own`,
    );
  }
  const words = Array.from(line.content.matchAll(/[\w.:/@[\]-]+/g), (found) => wordOf(line, found[0], found.index));
  const values = words.filter((word) => !isKey(line, word));
  const found =
    change.value === 'bare'
      ? values.filter(({ text }) => text.split('@').every((part) => isTag(part) || isDigest(part))).slice(-1)
      : values.filter(({ text }) => repositoryOf(text) === image.repository);
  const [word, another] = found;
  if (word === undefined || another !== undefined) {
    const expected = change.value === 'bare' ? 'a tag or a digest' : `one reference to ${image.repository}`;
    throw editRefused(
      change.file,
      `${where} has ${found.length === 0 ? 'no' : found.length} such value, expected ${expected}: '${line.content.trim()}'`,
    );
  }
  if (isPutTogether(line, word)) {
    throw editRefused(
      change.file,
      `${where} puts the image together from variables, expected it written out: '${line.content.trim()}'`,
    );
  }
  return { name: where, start: word.start, end: word.end, value: word.text, write: writerOf(line, word, change) };
}

/** Brackets belong to a word only around the address of a registry, `[::1]:5000/app`; elsewhere they are the file's own. */
function wordOf(line: MarkedLine, found: string, at: number): MarkedWord {
  const leading = /^\[(?![a-fA-F0-9:]+\])/.exec(found)?.[0].length ?? 0;
  const text = found.slice(leading).replace(/(?<!\])\]+$/, '');
  const start = line.start + at + leading;
  return { text, start, end: start + text.length };
}

/** `TAG` of `TAG=""`, or `"nginx"` of `"nginx": 1` */
function isKey(line: MarkedLine, word: MarkedWord): boolean {
  return /^["']?[ \t]*[:=]/.test(line.content.slice(word.end - line.start));
}

function repositoryOf(text: string): string | undefined {
  try {
    return parseReference(text).repository;
  } catch (error) {
    if (error instanceof InvalidReference) return undefined;
    throw error;
  }
}

/** `${REGISTRY}nginx:1.25`, `nginx:1.${MINOR}`, `nginx:{{ tag }}` */
function isPutTogether(line: MarkedLine, word: MarkedWord): boolean {
  const before = line.content.slice(0, word.start - line.start);
  const after = line.content.slice(word.end - line.start);
  return /(?:[$}%]|[$%{]\{)$/.test(before) || /^[${%]/.test(after);
}

/** Quotes are not ours to add in an unknown language; in YAML, a word that would no longer be text is refused. */
function writerOf(line: MarkedLine, word: MarkedWord, change: ChangePlan): (value: string) => string {
  const isQuoted = /["']$/.test(line.content.slice(0, word.start - line.start));
  return (value) => {
    if (/\.ya?ml$/.test(change.file) && !isQuoted && typeof parse(value, { version: '1.1' }) !== 'string') {
      throw editRefused(
        change.file,
        `line ${line.number}: '${value}' without quotes would not be text in YAML; put the value into quotes`,
      );
    }
    return value;
  };
}
