import { execFile } from 'node:child_process';
import { chmod, constants, copyFile, mkdir, readdir, readFile, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { codeOf } from '../../domain/errors.ts';
import type { Log } from '../../domain/log.ts';
import { sync, unlessAbsent, writeDurably } from '../files/durable-file.ts';

const run = promisify(execFile);

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
  /** No server has served with the database: one that was killed while it made the tables left nothing that another can use. */
  isNew: z.boolean().optional(),
});

/** What has to be known of `temporal.db`, kept beside it in `temporal.db.json`. */
export type DatabaseNote = z.output<typeof databaseNote>;

export const databaseFile = 'temporal.db';
const noteFile = 'temporal.db.json';

/** A version that could not be found out. */
const unknown = 'unknown';
const answerWithinMs = 20_000;
const copyPrefix = 'temporal-copy-of-';

type TemporalVersion = Pick<DatabaseNote, 'server' | 'cli'>;

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
  await writeDurably(join(folder, noteFile), `${JSON.stringify(note)}\n`);
}

/** What a `temporal` command is. A CLI that somebody built may say no version of its own, but always says that of its server. */
export async function versionOf(command: string, home: string): Promise<TemporalVersion> {
  const asked = run(command, ['--version'], { env: { HOME: home }, timeout: answerWithinMs });
  // A broken command is reported when the server is started.
  const { stdout } = await asked.catch(() => ({ stdout: '' }));
  const [, cli = unknown, server = unknown] = /version (\S+) \(Server ([^,)\s]+)/.exec(stdout) ?? [];
  return { cli, server };
}

/**
 * Before another Temporal uses the database, while no server runs: a newer one only after a copy was made, because there is no way back; an
 * older one never. @param last undefined if nothing is known of the database
 * @returns the folder of the copy, if one was made @throws where the command is the older one, or the copy has no room
 */
export async function guardDatabase(
  folder: string,
  command: string,
  version: TemporalVersion,
  last: DatabaseNote | undefined,
  log: Pick<Log, 'info'>,
): Promise<string | undefined> {
  const database = join(folder, databaseFile);
  if (last?.server === version.server) return undefined;
  const files = await existing([database, `${database}-wal`]);
  if (files.length === 0) return undefined;
  const order = last === undefined ? undefined : compareVersions(version.server, last.server);
  if (last !== undefined && order !== undefined && order < 0) {
    throw new Error(
      `expected a Temporal CLI with server ${last.server} or later, which wrote ${database}, found server ${version.server} (CLI ${version.cli}) at ${command}. ` +
        `Name a later CLI in TEMPORAL_CLI${await wayBack(folder, version)}`,
    );
  }
  const copy = await copyDatabase(folder, last?.server ?? unknown, files);
  const fields = { copy, before: last?.server ?? unknown, now: version.server };
  log.info(fields, 'copied the database of Temporal before another version of Temporal uses it for the first time');
  return copy;
}

/** Below 0 where `one` is older, above if it is newer; undefined if their numbers do not tell. */
export function compareVersions(one: string, other: string): number | undefined {
  const [a, b] = [one, other].map((version) => /^(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number));
  if (a === undefined || b === undefined) return undefined;
  const differing = a.findIndex((part, at) => part !== b[at]);
  return differing < 0 ? undefined : Number(a[differing]) - Number(b[differing]);
}

/** Named by version and last write, so that a start that was broken off makes no second one. The note goes along: it says whose it is. */
async function copyDatabase(folder: string, server: string, files: Awaited<ReturnType<typeof existing>>): Promise<string> {
  const written = new Date(Math.max(...files.map(({ writtenMs }) => writtenMs))).toISOString().slice(0, 19);
  const target = join(folder, `${copyPrefix}${server}-${written.replaceAll(':', '-')}`);
  if ((await existing([target])).length > 0) return target;
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  const { bavail, bsize } = await statfs(folder);
  if (bytes > bavail * bsize) {
    throw new Error(
      `expected ${megabytes(bytes)} free in ${folder}, for a copy of ${databaseFile} before another version of Temporal uses it, found ` +
        `${megabytes(bavail * bsize)}: make room, or name the CLI that wrote it in TEMPORAL_CLI`,
    );
  }
  const unfinished = `${target}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  try {
    for (const { path } of [...files, ...(await existing([join(folder, noteFile)]))]) {
      const copy = join(unfinished, basename(path));
      await copyFile(path, copy, constants.COPYFILE_FICLONE);
      await chmod(copy, 0o600);
      await sync(copy, 'r+');
    }
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw new Error(`the database of Temporal in ${folder} could not be copied to ${target} before another version uses it`, {
      cause: error,
    });
  }
  await rename(unfinished, target);
  return target;
}

/** How to go back to the older version, by the copy that was made before it was left. */
async function wayBack(folder: string, { server }: TemporalVersion): Promise<string> {
  const copies = (await readdir(folder))
    .filter((name) => name.startsWith(copyPrefix) && !name.endsWith('.new'))
    .filter((name) => (compareVersions(name.slice(copyPrefix.length), server) ?? 0) <= 0);
  const newest = copies.sort((a, b) => (a.slice(-19) < b.slice(-19) ? -1 : 1)).at(-1);
  if (newest === undefined) return '.';
  return `, or give up what happened since and go back to the copy from before: ${goBack(folder, join(folder, newest))}`;
}

/** The commands that put a copy in the place of the database. */
export function goBack(folder: string, copy: string): string {
  return `rm ${join(folder, databaseFile)}*; cp ${copy}/* ${folder}/`;
}

async function existing(paths: readonly string[]): Promise<{ path: string; size: number; writtenMs: number }[]> {
  const found = paths.map(async (path) => {
    const stats = await stat(path).catch(unlessAbsent);
    return stats && { path, size: stats.size, writtenMs: stats.mtimeMs };
  });
  return (await Promise.all(found)).filter((file) => file !== undefined);
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
