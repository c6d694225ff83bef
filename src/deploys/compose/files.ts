import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { isAbsolute, join, resolve } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import type { Refusal } from '../../domain/failures.ts';
import { shortened } from '../../domain/inert-text.ts';
import { readTextIfThere } from '../../platform/files/durable-file.ts';
import { refused } from '../kit/refusals.ts';

/** As Compose looks for them: the first of these, and the first override beside it (compose-go, `cli.DefaultFileNames`). */
const defaultFiles = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];
const defaultOverrides = [
  'compose.override.yml',
  'compose.override.yaml',
  'docker-compose.override.yml',
  'docker-compose.override.yaml',
];

/**
 * The compose files of a directory by name: an override of ours can only be added where all of them are named.
 * @param configured what the plan names; empty: what Compose finds by itself, in `.env` or by the usual names
 * @param changed the file that the stage changes, from the root of its repository: taken where Compose finds none and the directory is that root
 * @returns undefined if there are none
 * @throws Refusal `DeployRefused` if the directory is none, or nobody but Compose could tell the files
 */
export async function composeFiles(
  directory: string,
  configured: readonly string[],
  changed?: string,
): Promise<readonly string[] | undefined> {
  const isDirectory = isAbsolute(directory) && (await statIfThere(directory))?.isDirectory();
  if (!isDirectory) {
    throw refused(
      `expected the directory ${directory} of deploy.compose on this host, found none: make it, or correct ` +
        'deploy.compose.directory (and deploy.on, where it is on another host)',
    );
  }
  const named = configured.length > 0 ? configured : await filesOfEnvironment(directory);
  if (named !== undefined) {
    const areThere = await Promise.all(named.map((file) => isFile(resolve(directory, file))));
    return areThere.includes(true) ? named : undefined;
  }
  const file = await firstThere(directory, defaultFiles);
  if (file === undefined) return changed !== undefined && (await isFile(join(directory, changed))) ? [changed] : undefined;
  const override = await firstThere(directory, defaultOverrides);
  return override === undefined ? [file] : [file, override];
}

export function noFiles(directory: string, files: readonly string[]): Refusal {
  const expected = files.length > 0 ? files.join(', ') : 'a compose file (compose.yaml, docker-compose.yml, ...)';
  return refused(`expected ${expected} in ${directory}, found none: put it there, or correct deploy.compose`);
}

/** Each file costs a look-up, and anybody who can push to the repository can write the list. */
const longestList = 4096;

/** `COMPOSE_FILE` of the directory's `.env`. */
async function filesOfEnvironment(directory: string): Promise<string[] | undefined> {
  const text = (await readTextIfThere(join(directory, '.env'))) ?? '';
  const files = variableOf(text, 'COMPOSE_FILE');
  if (!files) return undefined;
  if (files.includes('$') || files.length > longestList) {
    throw refused(
      `expected plain names, of ${longestList} characters at most, in COMPOSE_FILE of ${join(directory, '.env')}, found '${shortened(files, 200)}': list deploy.compose.files`,
    );
  }
  return files.split(variableOf(text, 'COMPOSE_PATH_SEPARATOR') || ':').filter((file) => file !== '');
}

/** The last assignment counts. */
function variableOf(text: string, name: string): string | undefined {
  for (const line of lastLinesWith(text, name)) {
    const [, assigned, value = ''] = /^\s*(?:export\s+)?([A-Z_]+)\s*[=:]\s*(.*)$/.exec(line) ?? [];
    if (assigned !== name) continue;
    const [, , quoted] = /^(["'])(.*?)\1/.exec(value) ?? [];
    return quoted ?? value.replace(/\s#.*$/, '').trimEnd();
  }
  return undefined;
}

/** The lines that have the word, the last one first: a list of all lines would take long to make of a large file. */
function* lastLinesWith(text: string, word: string): Generator<string> {
  for (let at = text.lastIndexOf(word); at >= 0; ) {
    const begins = text.lastIndexOf('\n', at) + 1;
    const ends = text.indexOf('\n', at);
    yield text.slice(begins, ends < 0 ? undefined : ends).replace(/\r$/, '');
    at = begins === 0 ? -1 : text.lastIndexOf(word, begins - 1);
  }
}

async function firstThere(directory: string, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) if (await isFile(join(directory, name))) return name;
  return undefined;
}

async function isFile(path: string): Promise<boolean> {
  return (await statIfThere(path))?.isFile() ?? false;
}

/** Undefined if there is nothing of that name. A file that this worker may not see may well be there: that is refused. */
async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (code === 'EACCES' || code === 'ELOOP' || code === 'ENAMETOOLONG') {
      throw refused(
        `expected ${path} to be readable for this worker, found ${code}: give it access, or correct deploy.compose`,
        error,
      );
    }
    throw error;
  }
}
