import { lstat, readFile, realpath } from 'node:fs/promises';
import { isAbsolute, join, normalize, relative } from 'node:path';
import { codeOf } from '../domain/errors.ts';
import { Refusal } from '../domain/failures.ts';

/** Far above what a Dockerfile or a metadata file has. */
const longestText = 1024 * 1024;

/**
 * A path from the root of a checkout, joined of parts that a repository or a configuration names.
 * @throws Refusal `BuildRefused` where it leads out of it
 */
export function withinCheckout(...parts: readonly string[]): string {
  const path = normalize(join('.', ...parts));
  if (isAbsolute(path) || path === '..' || path.startsWith('../'))
    throw new Refusal('BuildRefused', `expected a path within the repository, found '${parts.join('/')}'`);
  return path === '.' ? '' : path;
}

/** What is at a path of a checkout. What a link leads to outside of it is nothing. */
export async function kindAt(root: string, path: string): Promise<'file' | 'folder' | undefined> {
  try {
    const real = await realpath(join(root, path));
    if (relative(await realpath(root), real).startsWith('..')) return undefined;
    const found = await lstat(real);
    return found.isDirectory() ? 'folder' : found.isFile() ? 'file' : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(String(codeOf(error)))) return undefined;
    throw error;
  }
}

/** The text of a file of a checkout; undefined where there is none. @throws Refusal `BuildRefused` where it is too long */
export async function textAt(root: string, path: string): Promise<string | undefined> {
  if ((await kindAt(root, path)) !== 'file') return undefined;
  const bytes = await readFile(join(root, path));
  if (bytes.length <= longestText) return bytes.toString('utf8');
  throw new Refusal('BuildRefused', `expected ${path} to have at most ${longestText} bytes, found ${bytes.length}`);
}
