import { randomUUID } from 'node:crypto';
import { chmod, link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { readTextIfThere } from './durable-file.ts';

/**
 * The text of a file, for its owner alone, that is made where it is missing. It is whole before it has its name, and never goes over another
 * one: of two processes at once, both take what the first one made.
 */
export async function madeOnce(path: string, make: () => string): Promise<string> {
  const text = (await readTextIfThere(path)) ?? (await makeIt(path, make()));
  await chmod(path, 0o600);
  return text;
}

async function makeIt(path: string, text: string): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${randomUUID().slice(0, 8)}.part`;
  await writeFile(part, text, { flag: 'wx', mode: 0o600, flush: true });
  try {
    await link(part, path);
    return text;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return await readFile(path, 'utf8');
    throw error;
  } finally {
    await rm(part, { force: true });
  }
}
