import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { codeOf } from '../domain/errors.ts';
import { Refused } from './errors.ts';

/** The files of an audit log, read while they are written to and rotate. */

export type OpenFile = { readonly name: string; readonly handle: FileHandle };

/** The newest first: whatever rotates meanwhile moves to where it is looked for next, and is known by its inode. */
export async function openAll(file: string): Promise<OpenFile[]> {
  const files = new Map<string, OpenFile>();
  for (const name of await namesOf(file)) {
    const handle = await ifThere(name, () => open(name, 'r'));
    if (handle === undefined) continue;
    const { dev, ino } = await handle.stat();
    if (files.has(`${dev} ${ino}`)) await handle.close();
    else files.set(`${dev} ${ino}`, { name, handle });
  }
  return [...files.values()];
}

async function namesOf(file: string): Promise<string[]> {
  const names = (await ifThere(dirname(file), () => readdir(dirname(file)))) ?? [];
  const first = `${basename(file)}.`;
  const numberOf = (name: string): number => Number.parseInt(name.slice(first.length), 10);
  const earlier = names.filter((name) => name.startsWith(first) && /^\d{1,6}(?:\.gz)?$/.test(name.slice(first.length)));
  return [file, ...earlier.sort((one, other) => numberOf(one) - numberOf(other)).map((name) => join(dirname(file), name))];
}

/** @throws Refused where it is there, and cannot be read */
async function ifThere<Read>(path: string, read: () => Promise<Read>): Promise<Read | undefined> {
  try {
    return await read();
  } catch (cause) {
    const code = codeOf(cause);
    if (code === 'ENOENT') return undefined;
    throw new Refused(`the audit log ${path} cannot be read (${code}): ask as a user who may read it`, { cause });
  }
}

/** Not by `readline`, which lets an error of what it reads from end the process. */
export async function* linesOf(name: string, handle: FileHandle): AsyncGenerator<string> {
  const stream = handle.createReadStream({ autoClose: false });
  const input = name.endsWith('.gz') ? pipeline(stream, createGunzip(), () => undefined) : stream;
  input.setEncoding('utf8');
  let rest = '';
  try {
    for await (const text of input) {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
  } catch (cause) {
    throw new Refused(`the audit log ${name} cannot be read to its end (${codeOf(cause) ?? cause}): move the file away`, {
      cause,
    });
  }
  yield rest;
}
