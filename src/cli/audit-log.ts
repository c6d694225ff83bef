import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import type { AuditLine } from '../domain/audit.ts';
import { CommandFailure } from './failure.ts';

/** What is read of the audit log. */
export interface AuditReading {
  /** How many lines were none: torn by a crash or a full disk, or written by somebody else. */
  readonly skipped: number;
  /** How many entries there were. */
  readonly read: number;
}

interface OpenFile {
  readonly name: string;
  readonly handle: FileHandle;
}

/**
 * Hands over every entry of the log and of its rotated predecessors (`FILE.1`, `FILE.2.gz`, …), the oldest first. The log may be written
 * to and rotate meanwhile.
 * @param logs the files of one log: one for each process that writes to it
 * @throws CommandFailure where it cannot be read
 */
export async function readAuditLog(logs: readonly string[], take: (entry: AuditLine) => void): Promise<AuditReading> {
  const reading = { skipped: 0, read: 0 };
  const opened: OpenFile[][] = [];
  try {
    for (const log of logs) opened.push(await openAll(log));
    if (opened.every((files) => files.length === 0)) throw noLogAt(logs[0] ?? '');
    for await (const entry of inOrderOfTime(opened.map((files) => entriesOf(files, reading)))) take(entry);
  } finally {
    await Promise.all(opened.flat().map(({ handle }) => handle.close().catch(() => undefined)));
  }
  return reading;
}

function noLogAt(file: string): CommandFailure {
  return new CommandFailure(
    `there is no audit log at ${file}: nothing was recorded yet, or audit.file of the configuration is another one`,
  );
}

/** The oldest first. */
async function* entriesOf(files: readonly OpenFile[], reading: { skipped: number; read: number }): AsyncGenerator<AuditLine> {
  for (const { name, handle } of [...files].reverse()) {
    for await (const line of linesOf(name, handle)) {
      if (line.trim() === '') continue;
      const entry = entryIn(line);
      if (entry === undefined) reading.skipped += 1;
      else {
        reading.read += 1;
        yield entry;
      }
    }
  }
}

/** Of several logs, each in order by itself. What has no readable time comes where it stands. */
async function* inOrderOfTime(logs: readonly AsyncGenerator<AuditLine>[]): AsyncGenerator<AuditLine> {
  const heads: { entry: AuditLine; readonly log: AsyncGenerator<AuditLine> }[] = [];
  for (const log of logs) {
    const { value: entry, done } = await log.next();
    if (!done) heads.push({ entry, log });
  }
  const timeOf = ({ entry }: { readonly entry: AuditLine }) => Date.parse(entry.timestamp) || 0;
  for (;;) {
    const [first, ...others] = heads;
    if (first === undefined) return;
    const oldest = others.reduce((one, other) => (timeOf(other) < timeOf(one) ? other : one), first);
    yield oldest.entry;
    const { value: entry, done } = await oldest.log.next();
    if (done) heads.splice(heads.indexOf(oldest), 1);
    else oldest.entry = entry;
  }
}

/** The newest first: whatever rotates meanwhile moves to where it is looked for next, and is known by its inode. */
async function openAll(file: string): Promise<OpenFile[]> {
  const names = await namesOf(file);
  const [files, seen]: [OpenFile[], Set<string>] = [[], new Set()];
  for (const name of names) {
    const handle = await open(name, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new CommandFailure(`the audit log ${name} cannot be read (${error.code}): ask as a user who may read it`);
    });
    if (handle === undefined) continue;
    const { dev, ino } = await handle.stat();
    if (seen.has(`${dev} ${ino}`)) await handle.close();
    else files.push({ name, handle });
    seen.add(`${dev} ${ino}`);
  }
  return files;
}

async function namesOf(file: string): Promise<string[]> {
  const found = await readdir(dirname(file)).catch(() => []);
  const numbers = found.flatMap((name) => {
    const [, number, gz = ''] =
      /^\.(\d{1,6})(\.gz)?$/.exec(name.startsWith(basename(file)) ? name.slice(basename(file).length) : '') ?? [];
    return number === undefined
      ? []
      : [{ number: Number(number), name: join(dirname(file), `${basename(file)}.${number}${gz}`) }];
  });
  return [file, ...numbers.sort((one, other) => one.number - other.number).map(({ name }) => name)];
}

/** Not by `readline`, which lets an error of what it reads from end the process. */
async function* linesOf(name: string, handle: FileHandle): AsyncGenerator<string> {
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
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new CommandFailure(`the audit log ${name} cannot be read to its end (${code}): move the file away`, undefined, {
      cause: error,
    });
  }
  yield rest;
}

const keys = ['timestamp', 'event_type', 'source', 'outcome'];

function entryIn(line: string): AuditLine | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    if (typeof entry !== 'object' || entry === null) return undefined;
    const fields = entry as Record<string, unknown>;
    return keys.every((key) => typeof fields[key] === 'string') ? (entry as AuditLine) : undefined;
  } catch {
    return undefined;
  }
}
