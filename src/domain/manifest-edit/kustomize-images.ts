import { isMap, isScalar, isSeq, type Pair, type YAMLMap } from 'yaml';
import { tryParseReference } from '../image-reference.ts';
import { type ImageSearch, placeOf, textAt } from './image-fields.ts';
import { editRefused, type ValueLocation } from './location.ts';
import { pairOf, plainOrQuoted, scalarText } from './yaml-file.ts';

/** Entries of Kustomize's list `images`: of the fields `newTag` and `digest`, and of a whole entry, what is missing is added. */

/** The map that has `images`, as a kustomization or the `spec` of one of Flux. */
export interface ImagesOwner {
  readonly map: YAMLMap;
  /** `spec.`, for people. */
  readonly prefix: string;
}

const fields = [
  { key: 'newTag', holds: 'tag' },
  { key: 'digest', holds: 'digest' },
] as const;

/** The places of all entries that are about the image. */
export function placesOfEntries({ map, prefix }: ImagesOwner, search: ImageSearch): ValueLocation[] {
  const list = pairOf(map, 'images');
  const entries = isSeq(list?.value) ? list.value.items.filter((item) => isMap(item)) : [];
  const onlyOne = entries.length === 1 ? list : undefined;
  return entries.flatMap((entry) => (isAbout(entry, search) ? placesOf(entry, onlyOne, prefix, search) : []));
}

function isAbout(entry: YAMLMap, { image: { repository }, named, change: { file } }: ImageSearch): boolean {
  const [name = '', newName = ''] = ['name', 'newName'].map((key) => said(entry, key));
  const known = (text: string) => tryParseReference(text)?.repository;
  const meant = known(newName || name);
  if (meant !== undefined) named.add(meant);
  if (meant === repository) return true;
  if (known(name) !== repository) return false;
  const why = `the entry of images for '${name}' puts '${newName}' in its place; take newName away, or let the image of the service be that`;
  throw editRefused(file, why);
}

function said(entry: YAMLMap, key: string): string {
  return textAt(pairOf(entry, key)?.value);
}

/** @param list the pair `images`, if the entry is all that it has */
function placesOf(entry: YAMLMap, list: Pair | undefined, prefix: string, search: ImageSearch): ValueLocation[] {
  const name = said(entry, 'name');
  const newName = said(entry, 'newName');
  const label = `${prefix}images[name=${name}]`;
  const first = entry.items[0];
  const head = placeOf(pairOf(entry, 'name')?.value, label, search.change.file);
  const begin =
    !entry.flow && scalarText(first?.key) === 'name' ? lineBreakBefore(search.text, startOf((list ?? first)?.key)) : undefined;
  return [
    {
      ...head,
      // An entry that says more than the image is none that may go.
      value: newName === '' ? name : `${name}=${newName}`,
      holds: 'name',
      ...(begin !== undefined && { whole: { start: begin, end: head.end } }),
    },
    ...wantedFields(entry, label, search).map(({ key, holds }) => {
      const pair = pairOf(entry, key);
      const place = pair ? presentField(entry, pair, label, search) : missingField(entry, key, label, search);
      return { ...place, holds };
    }),
  ];
}

/** @throws Refusal if the other field says something, and would go on saying it */
function wantedFields(entry: YAMLMap | undefined, label: string, { change: { pin, file } }: ImageSearch) {
  const wanted = fields.filter(({ holds }) => pin === 'tag@digest' || pin === holds);
  const other = fields.find((field) => !wanted.includes(field) && entry !== undefined && said(entry, field.key) !== '');
  if (other === undefined) return wanted;
  const why = `${label} has ${other.key}, which would stay as it is: take it away, or set pin to 'tag@digest'`;
  throw editRefused(file, why);
}

function presentField(entry: YAMLMap, pair: Pair, label: string, search: ImageSearch): ValueLocation {
  const place = placeOf(pair.value, `${label}.${scalarText(pair.key)}`, search.change.file);
  const previous = entry.items[entry.items.indexOf(pair) - 1];
  const start = entry.flow ? previous && endOf(previous.value) : lineBreakBefore(search.text, startOf(pair.key));
  return start === undefined ? place : { ...place, whole: { start, end: place.end } };
}

/** After the last of the fields that are about the image, in the style of the entry. */
function missingField(entry: YAMLMap, key: string, label: string, { text }: ImageSearch): ValueLocation {
  const last = Math.max(...['name', 'newName', 'newTag', 'digest'].map((known) => endOf(pairOf(entry, known)?.value)));
  const nameKey = startOf(pairOf(entry, 'name')?.key);
  const name = `${label}.${key}`;
  if (entry.flow) {
    const quote = /["']/.exec(text.charAt(nameKey))?.[0] ?? '';
    const write = (value: string) =>
      `, ${quote}${key}${quote}: ${quote === '' ? plainOrQuoted(value) : `${quote}${value}${quote}`}`;
    return { name, start: last, end: last, value: '', write };
  }
  const at = lineEnd(text, last);
  const indent = ' '.repeat(columnOf(text, nameKey));
  return {
    name,
    start: at,
    end: at,
    value: '',
    write: (value) => `${lineBreakOf(text)}${indent}${key}: ${plainOrQuoted(value)}`,
  };
}

/** Where an entry is to be that is not there: last in the list, or in a list of its own at the end. */
export function placesOfNewEntry({ map, prefix }: ImagesOwner, search: ImageSearch): ValueLocation[] {
  const { text, change, image } = search;
  const label = `${prefix}images[name=${image.repository}]`;
  const list = pairOf(map, 'images');
  const items = isSeq(list?.value) && !list.value.flow ? list.value.items : [];
  const last = items.at(-1);
  const indent = ' '.repeat(columnOf(text, startOf(map.items[0]?.key)));
  // As the entry before it has it: `  - `.
  const before = isMap(last) ? text.slice(startOf(last) - columnOf(text, startOf(last)), startOf(last)) : `${indent}- `;
  if (map.flow || map.items.length === 0 || (list !== undefined && !isMap(last)) || !/^ *- +$/.test(before))
    throw editRefused(
      change.file,
      `${prefix}images cannot be added to; write the entry (- name: …) there once, on lines of its own`,
    );
  const end = endOf(last ?? map);
  // A block of text ends with its last line break.
  const at = lineEnd(text, text[end - 1] === '\n' ? end - 1 : end);
  const newLine = lineBreakOf(text);
  const header = list === undefined ? `${newLine}${indent}images:` : '';
  const missing = (name: string, key: string): ValueLocation => ({
    name,
    start: at,
    end: at,
    value: '',
    write: (value) => `${newLine}${key}${plainOrQuoted(value)}`,
  });
  const under = before.replace('-', ' ');
  const head = missing(label, `${before}name: `);
  return [
    { ...head, holds: 'name', write: (value) => `${header}${head.write(value)}` },
    ...wantedFields(undefined, label, search).map(({ key, holds }) => ({
      ...missing(`${label}.${key}`, `${under}${key}: `),
      holds,
    })),
  ];
}

function startOf(node: unknown): number {
  return (isScalar(node) || isMap(node) ? node.range?.[0] : undefined) ?? 0;
}

/** Of the value itself, without what follows it. */
function endOf(node: unknown): number {
  return (isScalar(node) || isMap(node) || isSeq(node) ? node.range?.[1] : undefined) ?? 0;
}

/** A byte order mark is no column. */
function columnOf(text: string, offset: number): number {
  return text.slice(text.lastIndexOf('\n', offset - 1) + 1, offset).replace('\uFEFF', '').length;
}

function lineEnd(text: string, offset: number): number {
  const end = text.indexOf('\n', offset);
  return end < 0 ? text.length : text[end - 1] === '\r' ? end - 1 : end;
}

/** Undefined on the first line. */
function lineBreakBefore(text: string, offset: number): number | undefined {
  const at = text.lastIndexOf('\n', offset - 1);
  return at < 0 ? undefined : text[at - 1] === '\r' ? at - 1 : at;
}

function lineBreakOf(text: string): string {
  return text.includes('\r\n') ? '\r\n' : '\n';
}
