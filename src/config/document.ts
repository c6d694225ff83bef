import { type Document, isAlias, isMap, isNode, isPair, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { messageOf } from '../domain/errors.ts';
import type { ConfigurationProblem, Path } from '../settings/problem.ts';

/** A parsed YAML file that still knows where everything stands. */
export interface SourceDocument {
  readonly value: unknown;
  /** Positions are those of the value if it is a scalar, else of the key or list item that leads to it. */
  positionOf(path: Path): SourcePosition;
}

type SourcePosition = Pick<ConfigurationProblem, 'line' | 'column'>;
type SyntaxProblem = Omit<ConfigurationProblem, 'file' | 'path'>;

const start: SourcePosition = { line: 1, column: 1 };

/** YAML 1.2, one document. What the parser only warns about (an unknown `!tag`) is a problem too. */
export function readDocument(text: string): { document: SourceDocument } | { problems: SyntaxProblem[] } {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0)
    return { problems: faults.map(({ pos, message }) => ({ ...lineAndColumn(lines, pos[0]), message: worded(message) })) };
  try {
    const value: unknown = document.toJS();
    return { document: { value, positionOf: (path) => positionIn(document, lines, path) } };
  } catch (error) {
    // Aliases that lead nowhere, or that multiply beyond the parser's limit, are found only here.
    return { problems: [{ ...start, message: worded(messageOf(error)) }] };
  }
}

function positionIn(document: Document, lines: LineCounter, path: Path): SourcePosition {
  let node: Node | null | undefined = document.contents;
  let label: Node | null | undefined = node;
  for (const part of path) {
    const found = child(document, node, part);
    if (found === undefined) return beginning(lines, label);
    ({ label, value: node } = found);
  }
  return beginning(lines, isScalar(node) && node.range !== undefined ? node : label);
}

/** The node under a key or an index, and what to point at when speaking of it: its key, or itself in a list. */
function child(document: Document, parent: Node | null | undefined, part: string | number) {
  const collection = isAlias(parent) ? parent.resolve(document) : parent;
  if (isMap(collection)) {
    const pair = collection.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part));
    if (pair === undefined) return undefined;
    return { label: isNode(pair.key) ? pair.key : undefined, value: isNode(pair.value) ? pair.value : undefined };
  }
  if (isSeq(collection) && typeof part === 'number') {
    const item = collection.items[part];
    return isNode(item) ? { label: item, value: item } : undefined;
  }
  return undefined;
}

function beginning(lines: LineCounter, node: Node | null | undefined): SourcePosition {
  return node?.range ? lineAndColumn(lines, node.range[0]) : start;
}

function lineAndColumn(lines: LineCounter, offset: number): SourcePosition {
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(line, 1), column: Math.max(col, 1) };
}

function worded(message: string): string {
  return `expected valid YAML: ${message.split('\n', 1)[0]}`;
}
