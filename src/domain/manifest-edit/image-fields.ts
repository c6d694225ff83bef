import { type Alias, isAlias, isMap, isNode, isScalar, isSeq, type Node, type Scalar, type YAMLMap } from 'yaml';
import { type Repository, tryParseReference, writtenRepository } from '../image-reference.ts';
import type { ChangedFile } from '../plan.ts';
import { editRefused, type Holds, type InRepository, type ValueLocation } from './location.ts';
import { inherited, nameOf, pairOf, scalarText, valueAt } from './yaml-file.ts';

/** Values side by side that name an image: a whole reference, or registry, repository, tag and digest apart, as charts of Helm have them. */

/** What is looked for, and in which text. */
export interface ImageSearch {
  readonly text: string;
  readonly change: ChangedFile;
  readonly image: InRepository;
  /** Which images the file names, for the error where ours is not among them. */
  readonly named: Set<string>;
}

/** One of the values. `inherited`: it stands elsewhere, and comes here by an alias or a merge. */
export interface ImageField {
  readonly name: string;
  readonly node: Scalar;
  readonly inherited: boolean;
}

/** By their keys, in lower case. */
export type ImageFields = ReadonlyMap<string, ImageField>;

/** Registries for all images of a chart: one that goes before an image's own, and one for images that have none. */
export interface Registries {
  readonly first?: string;
  readonly last?: string;
}

interface WantedField {
  readonly field: ImageField;
  readonly holds: Holds;
}

const nameKey = /^\w*(?:image|repository)$|^(?:\w*image)?name$/;
const anyKey = /(?:image|repository|name|registry|tag|digest|sha)$/i;

/** A node of a document, its name for people, and what the document's aliases stand for. */
export interface YamlPart {
  readonly node: unknown;
  readonly name: string;
  readonly aliases: ReadonlyMap<Alias, Node | undefined>;
}

/** The values that may name an image in each map of a part. @param isMeant by the key of the map, or of the list that has it */
export function* fieldsIn(
  { node, name, aliases }: YamlPart,
  isMeant: (key: string) => boolean = () => true,
): Generator<ImageFields> {
  function* below(node: unknown, name: string, key: string): Generator<ImageFields> {
    if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) yield* below(item, nameOf(name, { kind: 'index', index }), key);
    }
    if (!isMap(node)) return;
    if (isMeant(key)) yield fieldsOf(node, name, aliases);
    for (const pair of node.items) {
      const key = scalarText(pair.key) ?? '';
      yield* below(pair.value, nameOf(name, { kind: 'key', key }), key);
    }
  }
  yield* below(node, name, '');
}

/** No real map merges as many, and hostile ones would take long. */
const mostMerged = 50;

/** A map's own, and those that it merges (<<). Merges may be nested, and even name themselves: each map is looked at once. */
function fieldsOf(map: YAMLMap, name: string, aliases: YamlPart['aliases']): ImageFields {
  const meant = (node: unknown) => (isAlias(node) ? aliases.get(node) : node);
  const fields = new Map<string, ImageField>();
  const maps = new Set([map]);
  for (const each of maps) {
    for (const { key, value } of each.items) {
      const text = scalarText(key) ?? '';
      const node = meant(value);
      if (!anyKey.test(text) || !isScalar(node) || fields.has(text.toLowerCase())) continue;
      const inherited = each !== map || isAlias(value);
      fields.set(text.toLowerCase(), { name: nameOf(name, { kind: 'key', key: text }), node, inherited });
    }
    const merged = pairOf(each, '<<')?.value;
    for (const source of (isSeq(merged) ? merged.items : [merged]).map(meant)) {
      if (isMap(source) && maps.size <= mostMerged) maps.add(source);
    }
  }
  return fields;
}

/** The places of the image among the fields of all groups. @throws Refusal if they cannot hold what `pin` demands */
export function placesAmong(groups: Iterable<ImageFields>, registries: Registries, search: ImageSearch): ValueLocation[] {
  const found: WantedField[] = [];
  for (const group of groups) {
    for (const key of group.keys()) found.push(...placesOfName(key, group, registries, search));
  }
  const places = new Map(found.filter(({ field }) => !field.inherited).map((place) => [place.field.node, place]));
  for (const { field } of found) {
    // What it comes from is a place of its own, or none of ours.
    if (field.inherited && !places.has(field.node))
      throw editRefused(search.change.file, inherited(field.name, 'is an alias or comes from a merge').why);
  }
  return [...places.values()].map(({ field, holds }) => ({ ...placeOf(field.node, field.name, search.change.file), holds }));
}

/** @throws Refusal for what is no value that can be changed on its own */
export function placeOf(node: unknown, name: string, file: string): ValueLocation {
  const found = valueAt(isNode(node) ? node : null, name);
  if (found.kind === 'refused') throw editRefused(file, found.why);
  return found.place;
}

/** What has to be written where a key names our image; nothing if it names another. */
function placesOfName(key: string, group: ImageFields, registries: Registries, search: ImageSearch): WantedField[] {
  const name = group.get(key);
  if (name === undefined || !nameKey.test(key)) return [];
  const beside = (...parts: readonly string[]) => besideIt(group, key, parts);
  const tag = beside('tag');
  // Some charts have a switch for it.
  const digest = textOf(beside('usedigest')) === 'false' ? undefined : beside('digest', 'sha');
  const isAlone = tag === undefined && digest === undefined;
  if (isAlone && /name$/.test(key)) return [];
  const written = textOf(name);
  const repository = repositoryOf(written, textOf(beside('registry')), registries);
  if (repository === undefined) return [];
  search.named.add(repository);
  if (repository !== search.image.repository) return [];
  const isWhole = writtenRepository(written) !== written;
  if (isWhole && textOf(tag) + textOf(digest) !== '') {
    const why = `${name.name} is '${written}', and there is '${textOf(tag) || textOf(digest)}' beside it: leave the tag or digest in one of the two`;
    throw editRefused(search.change.file, why);
  }
  if (isWhole || (isAlone && /image$/.test(key))) return [{ field: name, holds: 'reference' }];
  return placesApart(name, tag, digest, search);
}

/** `tag` beside `repository`, `imageTag` (or `tag`) beside `image`, `sidecarImageTag` beside `sidecarImage`. */
function besideIt(group: ImageFields, key: string, parts: readonly string[]): ImageField | undefined {
  const stem = key.replace(/(?:repository|name)$/, '');
  const names = parts.flatMap((part) => (stem === 'image' ? [`${stem}${part}`, part] : [`${stem}${part}`]));
  return names.map((name) => group.get(name)).find((field) => field !== undefined);
}

function textOf(field: ImageField | undefined): string {
  return textAt(field?.node);
}

/** What a node says, if it is a scalar and no null. */
export function textAt(node: unknown): string {
  return isScalar(node) && node.value === null ? '' : (scalarText(node) ?? '');
}

/** @returns undefined for what is no name of an image, whatever variables end it */
function repositoryOf(written: string, own: string, { first = '', last = '' }: Registries): Repository | undefined {
  const text = written.replace(/[:@]?\$.*$/s, '');
  const registry = first || own || last;
  const hasHost = /^(?:[^/]*[.:][^/]*|localhost)\//.test(text);
  const whole = hasHost || registry === '' ? text : `${registry.replace(/\/$/, '')}/${text}`;
  return tryParseReference(whole)?.repository;
}

/** A digest without a field of its own stands behind the tag: `repository:tag` becomes `repository:1.2.3@sha256:…`. */
function placesApart(
  { name }: ImageField,
  tag: ImageField | undefined,
  digest: ImageField | undefined,
  { change: { file, pin } }: ImageSearch,
): WantedField[] {
  const refused = (why: string) => editRefused(file, `${name} ${why}`);
  if (pin === 'digest') {
    if (digest === undefined)
      throw refused('has no digest beside it; write digest: "" there if the chart knows it, or set pin to \'tag@digest\'');
    if (textOf(tag) !== '')
      throw refused(`has the tag '${textOf(tag)}' beside it, which would become wrong; empty it, or set pin to 'tag@digest'`);
    return [placeOfDigest(digest)];
  }
  if (tag === undefined) throw refused('has no tag beside it; write tag: "" there once');
  if (pin === 'tag') {
    if (textOf(digest) === '') return [{ field: tag, holds: 'tag' }];
    throw refused(`has the digest '${textOf(digest)}' beside it, which would win; empty it, or set pin to 'tag@digest'`);
  }
  if (digest === undefined) return [{ field: tag, holds: 'bare' }];
  return [{ field: tag, holds: 'tag' }, placeOfDigest(digest)];
}

/** Some charts want the hex digits alone, and call that sha. */
function placeOfDigest(field: ImageField): WantedField {
  return { field, holds: /sha$/i.test(field.name) ? 'hash' : 'digest' };
}
