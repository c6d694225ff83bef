import {
  Composer,
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
  type YAMLMap,
} from 'yaml';
import { editRefused, type Place, quotedLike } from './place.ts';

/** One step down from a map or a list. */
export type YamlStep =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'index'; readonly index: number }
  /** The items of a list that are maps in which `key` is `value`. */
  | { readonly kind: 'where'; readonly key: string; readonly value: string };

export type YamlFound =
  | { readonly kind: 'place'; readonly place: Place }
  /** How far the steps led, what is there instead, and the map where it ended. */
  | { readonly kind: 'missing'; readonly depth: number; readonly there: readonly string[]; readonly map?: YAMLMap }
  /** It is there, but not a value that can be changed by itself. */
  | { readonly kind: 'refused'; readonly why: string };

/** Deeper files are nobody's manifests, and would overflow the stack of the parser. */
const deepestNesting = 200;

/** @throws Refusal `EditRefused`, with the line, where the text is no valid YAML */
export function parseYaml(text: string, file: string): Document.Parsed[] {
  const parser = new Parser();
  const documents: Document.Parsed[] = [];
  const composer = new Composer<ParsedNode, true>({ keepSourceTokens: true, prettyErrors: false });
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
  for (const { errors } of documents) {
    const [error] = errors;
    if (error)
      throw editRefused(file, `line ${text.slice(0, error.pos[0]).split('\n').length}: invalid YAML: ${error.message}`, {
        cause: error,
      });
  }
  return documents;
}

/** Follows the steps from the top of a document to one scalar. */
export function findValue(document: Document.Parsed, steps: readonly YamlStep[]): YamlFound {
  let node: Node | null = document.contents;
  let name = '';
  for (const [depth, step] of steps.entries()) {
    if (isAlias(node)) return refusedAlias(name, node.source);
    const found = childOf(node, step);
    if (found === undefined) {
      const merged = step.kind === 'key' && isMap(node) && comesByMerge(document, node, step.key);
      if (merged) return { kind: 'refused', why: inherited(nameOf(name, step), 'comes from a merge (<<)') };
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

function valueAt(node: Node | null, name: string): YamlFound {
  if (isAlias(node)) return refusedAlias(name, node.source);
  if (!isScalar(node))
    return {
      kind: 'refused',
      why: `${name} is ${isMap(node) ? 'a map' : isSeq(node) ? 'a list' : 'empty'}, expected a single value`,
    };
  const token = node.srcToken;
  switch (token?.type) {
    case 'block-scalar':
      return { kind: 'refused', why: `${name} is a block of text (| or >), expected the value on the same line as its key` };
    case 'scalar':
    case 'single-quoted-scalar':
    case 'double-quoted-scalar': {
      if (token.type === 'scalar' && token.source === '') break;
      const write = token.type === 'scalar' ? plainOrQuoted : quotedLike(token.source.charAt(0));
      const value = scalarText(node) ?? '';
      return { kind: 'place', place: { name, start: token.offset, end: token.offset + token.source.length, value, write } };
    }
  }
  return { kind: 'refused', why: `${name} is empty, expected a value to replace; write the image there once` };
}

/** Plain where every reader takes it for text; `1.10`, `20240501` or `no` would be a number or a truth value, so they get quotes. */
function plainOrQuoted(value: string): string {
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

function pairOf(map: YAMLMap, key: string): Pair | undefined {
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

/** @param depth merges may be nested, and even name themselves */
function comesByMerge(document: Document.Parsed, map: YAMLMap, key: string, depth = 0): boolean {
  if (depth > deepestNesting) return false;
  const merge = pairOf(map, '<<')?.value;
  const sources = isSeq(merge) ? merge.items : [merge];
  return sources.some((source) => {
    const resolved = isAlias(source) ? source.resolve(document) : source;
    return isMap(resolved) && (pairOf(resolved, key) !== undefined || comesByMerge(document, resolved, key, depth + 1));
  });
}

function refusedAlias(name: string, anchor: string): YamlFound {
  return { kind: 'refused', why: inherited(name, `is an alias (*${anchor})`) };
}

function inherited(name: string, how: string): string {
  return `${name} ${how} of a value that stands elsewhere, so changing it would change others too; write it out here, or let the change name the place where it stands`;
}

function nameOf(parent: string, step: YamlStep): string {
  if (step.kind === 'index') return `${parent}[${step.index}]`;
  if (step.kind === 'where') return `${parent}[${step.key}=${step.value}]`;
  if (/[.[\]"]/.test(step.key)) return `${parent}["${step.key}"]`;
  return parent === '' ? step.key : `${parent}.${step.key}`;
}
