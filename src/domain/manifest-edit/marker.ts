import { parse } from 'yaml';
import { isDigest, isTag, tryParseReference } from '../image-reference.ts';
import type { ChangedFile } from '../plan.ts';
import { editRefused, type InRepository, listed, targetNotFound, type ValueLocation } from './location.ts';

/** `marker`: the name in the comment. `content`: the text before it. */
interface MarkedLine {
  readonly marker: string;
  readonly number: number;
  readonly start: number;
  readonly content: string;
}

/** Names are bounded, because a line may have thousands of comment signs from each of which one could begin. */
const comment = /^(.*?)(?:#|\/\/)[ \t]*landfall:[ \t]*([^\s#]{1,200})[ \t]*\r?$/gm;
/** A longer one is no line that a person marked. */
const longestLine = 4096;

type MarkedWord = Pick<ValueLocation, 'value' | 'start' | 'end'>;

/**
 * The image on each line that ends with the comment `# landfall: NAME` (or `// landfall: NAME`), in a file of any language: with
 * `value: reference` the reference to this very repository, with `bare` the last tag or digest.
 */
export function findByMarker(text: string, change: ChangedFile, name: string, image: InRepository): ValueLocation[] {
  const markers = Map.groupBy(markedLines(text), ({ marker }) => marker);
  const lines = markers.get(name);
  if (lines !== undefined) return lines.map((line) => placeOn(line, change, image));
  const others = `its marked lines are for: ${listed([...markers.keys()])}`;
  throw targetNotFound(change.file, `line that ends with '# landfall: ${name}'`, others);
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

function placeOn(line: MarkedLine, change: ChangedFile, image: InRepository): ValueLocation {
  const { number, content } = line;
  const refused = (why: string) => editRefused(change.file, `line ${number} ${why}`);
  if (content.length > longestLine) {
    throw refused(
      `has ${content.length} characters before its comment, expected at most ${longestLine}; put the image on a line of its own`,
    );
  }
  const words = Array.from(content.matchAll(/[\w.:/@[\]-]+/g), (found) => wordOf(line, found[0], found.index));
  // `TAG` of `TAG=""`, or `"nginx"` of `"nginx": 1`, is a key.
  const values = words.filter(({ end }) => !/^["']?[ \t]*[:=]/.test(content.slice(end - line.start)));
  const found =
    change.value === 'bare'
      ? values.filter(({ value }) => value.split('@').every((part) => isTag(part) || isDigest(part))).slice(-1)
      : values.filter(({ value }) => tryParseReference(value)?.repository === image.repository);
  const [word, another] = found;
  if (word === undefined || another !== undefined) {
    const expected = change.value === 'bare' ? 'a tag or a digest' : `one reference to ${image.repository}`;
    throw refused(`has ${found.length === 0 ? 'no' : found.length} such value, expected ${expected}: '${content.trim()}'`);
  }
  if (isPutTogether(line, word)) {
    throw refused(`puts the image together from variables, expected it written out: '${content.trim()}'`);
  }
  return { ...word, name: `line ${number}`, write: writerOf(line, word, change) };
}

/** Brackets belong to a word only around the address of a registry, `[::1]:5000/app`; elsewhere they are the file's own. */
function wordOf(line: MarkedLine, found: string, at: number): MarkedWord {
  const leading = /^\[(?![a-fA-F0-9:]+\])/.exec(found)?.[0].length ?? 0;
  const value = found.slice(leading).replace(/(?<!\])\]+$/, '');
  const start = line.start + at + leading;
  return { value, start, end: start + value.length };
}

/** `${REGISTRY}nginx:1.25`, `nginx:1.${MINOR}`, `nginx:{{ tag }}` */
function isPutTogether(line: MarkedLine, word: MarkedWord): boolean {
  const before = line.content.slice(0, word.start - line.start);
  const after = line.content.slice(word.end - line.start);
  return /(?:[$}%]|[$%{]\{)$/.test(before) || /^[${%]/.test(after);
}

/** Quotes are not ours to add in an unknown language; in YAML, a word that would no longer be text is refused. */
function writerOf(line: MarkedLine, word: MarkedWord, change: ChangedFile): (value: string) => string {
  const isQuoted = /["']$/.test(line.content.slice(0, word.start - line.start));
  return (value) => {
    if (/\.ya?ml$/.test(change.file) && !isQuoted && typeof parse(value, { version: '1.1' }) !== 'string') {
      const why = `line ${line.number}: '${value}' without quotes would not be text in YAML; put the value into quotes`;
      throw editRefused(change.file, why);
    }
    return value;
  };
}
