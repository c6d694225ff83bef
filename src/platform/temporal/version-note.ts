import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../../domain/errors.ts';
import { writeDurably } from '../files/durable-file.ts';

const databaseNote = z.object({
  /** The name of a namespace that this database has, and that of no other data folder: it tells our server from any other. */
  mark: z.string(),
  /** Version of the Temporal server that used the database last, as `1.32.0`: the form of the data is the server's. */
  server: z.string(),
  /** Version of the Temporal CLI that brought it, for people. */
  cli: z.string(),
  /** Where Temporal was reached last, and is to be reached again. */
  port: z.number(),
  uiPort: z.number(),
  /** The copy from before this server first used the database, for as long as it is not known that it can. */
  untriedSince: z.string().optional(),
});

/** What has to be known of `temporal.db`, kept beside it in `temporal.db.json`. */
export type DatabaseNote = z.output<typeof databaseNote>;

export const databaseFile = 'temporal.db';
export const noteFile = 'temporal.db.json';
/** The command may run as another user than the service. */
export const everybody = 0o666;

export function newMark(): string {
  return `landfall-folder-${randomUUID().slice(-12)}`;
}

/** Undefined if there is none: the folder is new, or of a Landfall that did not write any. */
export async function readNote(folder: string): Promise<DatabaseNote | undefined> {
  const file = join(folder, noteFile);
  try {
    return databaseNote.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new Error(
      `expected {mark, server, cli, port, uiPort} in ${file}, found something else: remove the file and start again ` +
        `(the database is copied then, as it is not known which Temporal wrote it)`,
      { cause: error },
    );
  }
}

export async function writeNote(folder: string, note: DatabaseNote): Promise<void> {
  await writeDurably(join(folder, noteFile), `${JSON.stringify(note)}\n`, everybody);
}
