import { execFile } from 'node:child_process';
import { constants, copyFile, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf } from '../../domain/errors.ts';
import type { Log } from '../../domain/log.ts';
import { type DatabaseNote, databaseFile, noteFile } from './version-note.ts';

const run = promisify(execFile);

/** A version that could not be found out. */
const unknown = 'unknown';
const answerWithinMs = 20_000;
const copyPrefix = 'temporal-copy-of-';

export type TemporalVersion = Pick<DatabaseNote, 'server' | 'cli'>;

/** What a `temporal` command is. A CLI that somebody built may say no version of its own, but always says that of its server. */
export async function versionOf(command: string, home: string): Promise<TemporalVersion> {
  const printed = await run(command, ['--version'], { env: { HOME: home }, timeout: answerWithinMs }).then(
    ({ stdout }) => stdout,
    // A broken command is reported when the server is started.
    () => '',
  );
  const [, cli, server] = /version (\S+) \(Server ([^,)\s]+)/.exec(printed) ?? [];
  return { cli: cli ?? unknown, server: server ?? unknown };
}

/**
 * Before another Temporal than the last one uses the database: a newer one only after it was copied, because there is no way back; an
 * older one never. To be called while no server runs.
 * @param last undefined if nothing is known of the database
 * @returns the folder of the copy, if one was made
 * @throws where the command is the older one, or the copy has no room
 */
export async function guardDatabase(
  folder: string,
  {
    command,
    version,
    last,
    log,
  }: { command: string; version: TemporalVersion; last?: DatabaseNote | undefined; log: Pick<Log, 'info' | 'warn' | 'error'> },
): Promise<string | undefined> {
  const database = join(folder, databaseFile);
  if (last?.server === version.server) return undefined;
  const files = await existing([database, `${database}-wal`]);
  if (files.length === 0) return undefined;
  const order = last === undefined ? undefined : compareVersions(version.server, last.server);
  if (last !== undefined && order !== undefined && order < 0) {
    throw new Error(
      `expected a Temporal CLI with server ${last.server} or later, which wrote ${database}, found ${inWords(version)} at ${command}. ` +
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

/**
 * Named by the version and by when the database was written last, so that a start that was broken off makes no second one. The note goes
 * with it: what is put back says itself whose it is.
 */
async function copyDatabase(
  folder: string,
  server: string,
  files: readonly { readonly path: string; readonly size: number; readonly writtenMs: number }[],
): Promise<string> {
  const written = new Date(Math.max(...files.map(({ writtenMs }) => writtenMs))).toISOString().slice(0, 19);
  const target = join(folder, `${copyPrefix}${server}-${written.replaceAll(':', '-')}`);
  if ((await existing([target])).length > 0) return target;
  await requireRoom(
    folder,
    files.reduce((sum, { size }) => sum + size, 0),
  );
  const unfinished = `${target}.new`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished);
  try {
    for (const { path } of [...files, ...(await existing([join(folder, noteFile)]))]) await copyInto(unfinished, path);
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw new Error(`the database of Temporal in ${folder} could not be copied to ${target} before another version uses it`, {
      cause: error,
    });
  }
  await rename(unfinished, target);
  return target;
}

async function copyInto(folder: string, path: string): Promise<void> {
  const copy = join(folder, path.slice(path.lastIndexOf('/') + 1));
  await copyFile(path, copy, constants.COPYFILE_FICLONE);
  const handle = await open(copy, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function requireRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  if (bytes <= bavail * bsize) return;
  throw new Error(
    `expected ${megabytes(bytes)} free in ${folder}, for a copy of ${databaseFile} before another version of Temporal uses it, found ` +
      `${megabytes(bavail * bsize)}: make room, or name the CLI that wrote it in TEMPORAL_CLI`,
  );
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
  const found = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ size, mtimeMs }) => [{ path, size, writtenMs: mtimeMs }],
        (error: unknown) => {
          if (codeOf(error) === 'ENOENT') return [];
          throw error;
        },
      ),
    ),
  );
  return found.flat();
}

export function inWords({ server, cli }: TemporalVersion): string {
  return `server ${server} (CLI ${cli})`;
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`;
}
