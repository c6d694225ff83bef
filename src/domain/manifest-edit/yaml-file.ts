import {
  type Alias,
  Composer,
  CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  type Pair,
  type ParsedNode,
  Parser,
  parse,
  visit,
  type YAMLMap,
} from 'yaml';
import { editRefused, quotedLike, type ValueLocation } from './location.ts';

/** One step down from a map or a list. */
export type YamlStep =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'index'; readonly index: number }
  /** The items of a list that are maps in which `key` is `value`. */
  | { readonly kind: 'where'; readonly key: string; readonly value: string };

/** How far the steps led, what is there instead, and the map where it ended. */
export interface MissingValue {
  readonly kind: 'missing';
  readonly depth: number;
  readonly there: readonly string[];
  readonly map?: YAMLMap;
}

type YamlLookup =
  | { readonly kind: 'place'; readonly place: ValueLocation }
  | MissingValue
  /** It is there, but not a value that can be changed on its own. */
  | { readonly kind: 'refused'; readonly why: string };

/** No real manifest is deeper, and deeper files would overflow the parser's stack. */
const deepestNesting = 200;

/** @throws Refusal `EditRefused`, with the line, if the text is no valid YAML */
export function parseYaml(text: string, file: string): Document.Parsed[] {
  const parser = new Parser();
  const documents: Document.Parsed[] = [];
  // The composer compares each key of a map with each other one, see repeatedKey.
  const composer = new Composer<ParsedNode, true>({ keepSourceTokens: true, prettyErrors: false, uniqueKeys: false });
  let line = 1;
  for (const lexeme of new Lexer().lex(text)) {
    for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
    if (parser.stack.length > deepestNesting) {
      throw editRefused(file, `line ${line}: expected at most ${deepestNesting} levels of nesting`);
    }
    line += lexeme.split('\n').length - 1;
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end(false, text.length));
  for (const { errors, contents } of documents) {
    const [error] = errors;
    if (error) throw invalid(file, text, error.pos[0], error.message, { cause: error });
    const repeated = repeatedKey(contents);
    if (repeated !== undefined) throw invalid(file, text, repeated, 'Map keys must be unique');
  }
  return documents;
}

function invalid(file: string, text: string, offset: number, why: string, options?: ErrorOptions): Error {
  return editRefused(file, `line ${text.slice(0, offset).split('\n').length}: invalid YAML: ${why}`, options);
}

/** The position of the first duplicate key. Keys that are maps or lists are not compared, as in the `yaml` package. */
function repeatedKey(top: Node | null): number | undefined {
  let first: number | undefined;
  const toDo: unknown[] = [top];
  for (let node = toDo.pop(); node !== undefined; node = toDo.pop()) {
    if (isSeq(node)) for (const item of node.items) toDo.push(item ?? null);
    if (!isMap(node)) continue;
    const values = new Set<unknown>();
    for (const { key, value } of node.items) {
      toDo.push(key, value ?? null);
      if (!isScalar(key) || Number.isNaN(key.value)) continue;
      if (values.has(key.value)) first = Math.min(key.range?.[0] ?? 0, first ?? Infinity);
      values.add(key.value);
    }
  }
  return first;
}

/** Follows the steps from the top of a document to one scalar. */
export function findValue(document: Document.Parsed, steps: readonly YamlStep[]): YamlLookup {
  let node: Node | null = document.contents;
  let name = '';
  for (const [depth, step] of steps.entries()) {
    if (isAlias(node)) return inherited(name, `is an alias (*${node.source})`);
    const found = childOf(node, step);
    if (found === undefined) {
      const merged = step.kind === 'key' && isMap(node) && comesByMerge(document, node, step.key);
      if (merged) return inherited(nameOf(name, step), 'comes from a merge (<<)');
      return { kind: 'missing', depth, there: childrenOf(node, step), ...(isMap(node) ? { map: node } : {}) };
    }
    name = nameOf(name, step);
    if (found.length > 1) return { kind: 'refused', why: `${name} stands there ${found.length} times, expected once` };
    node = found[0] ?? null;
  }
  return valueAt(node, name);
}

/** The text of a scalar as written, so that `1.10` is not 1.1. */
export function scalarText(node: unknown): string | undefined {
  if (!isScalar(node)) return undefined;
  const token = node.srcToken;
  return token?.type === 'scalar' ? token.source : String(node.value ?? '');
}

export function keysOf(map: YAMLMap): string[] {
  return map.items.map((pair) => scalarText(pair.key) ?? '').filter((key) => key !== '' && key !== '<<');
}

/** The place of a scalar. @param name for people */
export function valueAt(node: Node | null, name: string): Exclude<YamlLookup, MissingValue> {
  if (isAlias(node)) return inherited(name, `is an alias (*${node.source})`);
  if (!isScalar(node)) {
    const found = isMap(node) ? 'a map' : isSeq(node) ? 'a list' : 'empty';
    return { kind: 'refused', why: `${name} is ${found}, expected a single value` };
  }
  const token = node.srcToken;
  if (token?.type === 'block-scalar')
    return { kind: 'refused', why: `${name} is a block of text (| or >), expected the value on the same line as its key` };
  const isPlain = token?.type === 'scalar';
  if (!CST.isScalar(token) || (isPlain && token.source === ''))
    return { kind: 'refused', why: `${name} is empty, expected a value to replace; write the image there once` };
  const write = isPlain ? plainOrQuoted : quotedLike(token.source.charAt(0));
  const value = scalarText(node) ?? '';
  return { kind: 'place', place: { name, start: token.offset, end: token.offset + token.source.length, value, write } };
}

/** Plain where every reader takes it for text; `1.10`, `20240501` or `no` would be a number or a truth value, so they get quotes. */
export function plainOrQuoted(value: string): string {
  const versions = ['1.1', '1.2'] as const;
  return versions.every((version) => parse(value, { version }) === value) ? value : `"${value}"`;
}

/** Undefined: there is none. An empty value is a child of its own: null. */
function childOf(node: Node | null, step: YamlStep): (Node | null)[] | undefined {
  if (step.kind === 'key') {
    const pair = isMap(node) ? pairOf(node, step.key) : undefined;
    return pair && [pair.value as Node | null];
  }
  if (!isSeq(node)) return undefined;
  const items = node.items as Node[];
  const found =
    step.kind === 'index'
      ? items.slice(step.index, step.index + 1)
      : items.filter((item) => isMap(item) && scalarText(pairOf(item, step.key)?.value) === step.value);
  return found.length === 0 ? undefined : found;
}

export function pairOf(map: YAMLMap, key: string): Pair | undefined {
  return map.items.find((pair) => scalarText(pair.key) === key);
}

/** What an error shows: the keys of a map, or which items a list has. */
function childrenOf(node: Node | null, step: YamlStep): string[] {
  if (isMap(node)) return keysOf(node);
  if (!isSeq(node)) return [];
  const items = node.items as Node[];
  if (step.kind !== 'where') return items.map((_, index) => `[${index}]`);
  return items.flatMap((item) => (isMap(item) ? [`[${step.key}=${scalarText(pairOf(item, step.key)?.value) ?? ''}]`] : []));
}

/** Merges may be nested, name the same map again and again, and even name themselves: each map is looked at once. */
function comesByMerge(document: Document.Parsed, map: YAMLMap, key: string): boolean {
  const meant = aliasesOf(document);
  const maps = new Set([map]);
  for (const each of maps) {
    if (each !== map && pairOf(each, key) !== undefined) return true;
    const merge = pairOf(each, '<<')?.value;
    for (const source of isSeq(merge) ? merge.items : [merge]) {
      const resolved = isAlias(source) ? meant.get(source) : source;
      if (isMap(resolved)) maps.add(resolved);
    }
  }
  return false;
}

/** What an alias stands for: the last node before it that has its anchor. The package's own `resolve` goes through the document each time. */
export function aliasesOf(document: Document.Parsed): ReadonlyMap<Alias, Node | undefined> {
  const anchors = new Map<string, Node>();
  const meant = new Map<Alias, Node | undefined>();
  visit(document, {
    Node: (_key, node) => {
      if (isAlias(node)) meant.set(node, anchors.get(node.source));
      else if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return meant;
}

export function inherited(name: string, how: string): Extract<YamlLookup, { kind: 'refused' }> {
  const why = `${name} ${how} of a value that stands elsewhere, so changing it would change others too; write it out here, or let the change name the place where it stands`;
  return { kind: 'refused', why };
}

export function nameOf(parent: string, step: YamlStep): string {
  if (step.kind === 'index') return `${parent}[${step.index}]`;
  if (step.kind === 'where') return `${parent}[${step.key}=${step.value}]`;
  if (/[.[\]"]/.test(step.key)) return `${parent}["${step.key}"]`;
  return parent === '' ? step.key : `${parent}.${step.key}`;
}
