import { constants } from 'node:fs';
import { chmod, mkdir, open, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../../domain/errors.ts';

/** What others of this machine may do with a file, the group included. */
const ofOthers = 0o077;
/** Where everybody may make files, such as /tmp: no folder to take away from them. */
const sticky = 0o1000;

/** What Landfall and its Temporal keep right in the data folder, which may be one that holds other things, too. */
const ownFiles = /^(?:temporal[.-]|audit[a-z-]*\.jsonl|[a-z-]+\.key$)/;

/**
 * Makes the data folder one for this user alone (0700), with the files of Landfall in it (0600), also where an older version left them open.
 * What is in folders below keeps its modes: nobody else gets there, and containers may have to read it (a checkout that is mounted).
 * @returns what to do where others can still get at it, as in a folder of somebody else, which cannot be closed by us
 */
export async function makePrivate(folder: string): Promise<string | undefined> {
  await mkdir(dirname(folder), { recursive: true });
  await mkdir(folder, { mode: 0o700 }).catch(unlessThere);
  // Windows has no such modes.
  if (process.platform === 'win32') return undefined;
  const { mode, uid } = await stat(folder);
  const user = process.geteuid?.();
  const mayClose = (user === uid || user === 0) && (mode & sticky) === 0;
  if (mayClose) await chmod(folder, 0o700);
  for (const { name } of await readdir(folder, { withFileTypes: true }))
    if (ownFiles.test(name)) await closeFile(join(folder, name));
  if (mayClose || (mode & 0o007) === 0) return undefined;
  return `${folder} is open to every user of this machine, and belongs to user ${uid}: close it (chmod 700), or choose another folder (data)`;
}

const forgiven: ReadonlySet<unknown> = new Set(['ENOENT', 'ELOOP', 'EPERM', 'EACCES', 'ENXIO']);

/** Without following a link, which may lead anywhere. */
async function closeFile(path: string): Promise<void> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stats = await file.stat();
      if (stats.isFile() && (stats.mode & ofOthers) !== 0) await file.chmod(0o600);
    } finally {
      await file.close();
    }
  } catch (error) {
    // It went away meanwhile, or belongs to somebody else, who has to close it.
    if (!forgiven.has(codeOf(error))) throw error;
  }
}

function unlessThere(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error;
}
