#!/usr/bin/env node
/**
 * The words of the source tree, part of `npm run check`: the name of a type is made of words that docs/glossary.md has, one name means
 * one thing, and spellings that were settled stay so.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** @typedef {{ file: string, line: number, message: string }} Problem */

const glossaryFile = 'docs/glossary.md';

/** How a thing is written, and how it is not. */
const spellings = [
  { wrong: /\broll-backs?\b/i, right: 'rollback (noun) or roll back (verb)' },
  { wrong: /\bdata base\b/i, right: 'database' },
];

/**
 * Landfall's own words are the first cells of the table rows, as `| global hold | … |`; the field's are listed as `- Temporal: activity, …`.
 *
 * @param {string} text of the glossary
 * @returns {Set<string>} single words, in small letters
 */
export function wordsOf(text) {
  const rows = [...text.matchAll(/^\| ([^|]+) \|/gm)].map((row) => row[1] ?? '');
  const lists = [...text.matchAll(/^- [^:\n]+: (.+(?:\n {2}.+)*)/gm)].map((list) => list[1] ?? '');
  return new Set([...rows, ...lists].flatMap((entry) => entry.toLowerCase().match(/[a-z0-9]+/g) ?? []));
}

/**
 * @param {string} name of a type, as `RolloutStart`
 * @returns {string[]} its words in small letters: `rollout`, `start`
 */
export function wordsOfName(name) {
  return (name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+/g) ?? []).map((word) => word.toLowerCase());
}

/**
 * @param {string} text of a source file
 * @returns {{ name: string, line: number }[]} the types that it declares at its top level
 */
export function typesOf(text) {
  const declaration = /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class) (\w+)/;
  return text.split('\n').flatMap((code, index) => {
    const name = declaration.exec(code)?.[1];
    return name === undefined ? [] : [{ name, line: index + 1 }];
  });
}

/**
 * @param {ReadonlyMap<string, string>} sources texts by file
 * @param {ReadonlySet<string>} known words of the glossary
 * @returns {Problem[]}
 */
export function nameProblems(sources, known) {
  /** @type {Map<string, string>} */
  const first = new Map();
  return [...sources].flatMap(([file, text]) =>
    typesOf(text).flatMap(({ name, line }) => {
      const strange = wordsOfName(name).filter((word) => !known.has(word) && !known.has(word.replace(/s$/, '')));
      const elsewhere = first.get(name);
      first.set(name, file);
      return [
        ...strange.map(
          (word) => `'${word}' in the type ${name} is not in ${glossaryFile}: use its word for it, or add one line there`,
        ),
        ...(elsewhere === undefined ? [] : [`the type ${name} is in ${elsewhere} too: one name means one thing`]),
      ].map((message) => ({ file, line, message }));
    }),
  );
}

/**
 * @param {string} file
 * @param {string} text
 * @returns {Problem[]}
 */
export function spellingProblems(file, text) {
  return text
    .split('\n')
    .flatMap((content, index) =>
      spellings
        .filter(({ wrong }) => wrong.test(content))
        .map(({ right }) => ({ file, line: index + 1, message: `expected ${right}` })),
    );
}

/**
 * @param {string} root the checkout
 * @returns {Problem[]}
 */
export function checkWords(root) {
  const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
    cwd: root,
    encoding: 'utf8',
  });
  const read = (/** @type {string} */ file) => readFileSync(join(root, file), 'utf8');
  const files = tracked.trim().split('\n').sort();
  const sources = files.filter((file) => /^(?:src\/.*|worker)\.ts$/.test(file));
  const prose = files.filter((file) => /^(?:README|CONTRIBUTING|SECURITY|docs\/(?!decisions).*)\.md$/.test(file));
  return [
    ...nameProblems(new Map(sources.map((file) => [file, read(file)])), wordsOf(read(glossaryFile))),
    ...[...sources, ...prose].flatMap((file) => spellingProblems(file, read(file))),
  ];
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const problems = checkWords(fileURLToPath(new URL('..', import.meta.url)));
  for (const { file, line, message } of problems) console.error(`${file}:${line}: ${message}`);
  console.log(problems.length === 0 ? 'Names are words of the glossary.' : `${problems.length} words against ${glossaryFile}.`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}
