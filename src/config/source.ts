import { readFileSync } from 'node:fs';
import { codeOf } from '../domain/errors.ts';
import { type Complaint, type ConfigurationProblem, formatPath } from '../settings/problem.ts';
import { readDocument, type SourceDocument } from './document.ts';

export interface Problems {
  readonly problems: readonly ConfigurationProblem[];
}

export interface ConfigurationSource {
  readonly document: SourceDocument;
  readonly value: unknown;
  /** Of the value; none where that is no map. */
  readonly sections: Readonly<Record<string, unknown>>;
}

type SourceResult = ConfigurationSource | (Problems & { readonly missing: boolean });

export function readSource(file: string): SourceResult {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    const code = String(codeOf(error) ?? error);
    const message = `expected a readable file, found ${code}: \`npm start\` writes a commented starter`;
    return { problems: [{ file, line: 1, column: 1, path: '', message }], missing: code === 'ENOENT' };
  }
  return sourceOf(text, file);
}

/** A section whose every line is commented out counts as absent, and so does an empty file. */
export function sourceOf(text: string, file: string): SourceResult {
  const read = readDocument(text);
  if ('problems' in read) return { problems: read.problems.map((problem) => ({ file, path: '', ...problem })), missing: false };
  const { document } = read;
  const value = document.value ?? {};
  if (typeof value !== 'object' || Array.isArray(value)) return { document, value, sections: {} };
  const sections = Object.fromEntries(Object.entries(value).filter(([, section]) => section !== null));
  return { document, value: sections, sections };
}

export function placed(file: string, document: SourceDocument, complaints: readonly Complaint[]): Problems {
  const problems = complaints
    .map(({ path, message }) => ({ file, ...document.positionOf(path), path: formatPath(path), message }))
    .sort((a, b) => a.line - b.line || a.column - b.column);
  return { problems };
}
