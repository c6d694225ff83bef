import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../domain/errors.ts';
import type { Digest } from '../domain/image-reference.ts';

/**
 * What is too large for a workflow's history: files named by the digest that they are about, as `sha256/HEX/NAME` in a folder that api
 * and workers share. A file is there as a whole or not at all, even if a process is killed.
 */
export interface Artifacts {
  /** Absolute: where the paths below begin. */
  readonly folder: string;
  /** `sha256/HEX/NAME`, whether it is there or not. */
  pathOf(digest: Digest, name: string): string;
  /** A new folder on the same disk, for files in the making. It is removed afterwards. */
  withWorkFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result>;
  /** Moves a file out of a work folder to its place, and replaces what is there. Returns its path within the artifacts folder. */
  keep(digest: Digest, name: string, file: string): Promise<string>;
  /** The same for a text. */
  keepText(digest: Digest, name: string, text: string): Promise<string>;
  /** Undefined if there is none. */
  readText(digest: Digest, name: string): Promise<string | undefined>;
}

const workFolders = '.work';
/** No step works longer than this on its files, so what is older was left by a worker that was killed. */
const longestWorkMs = 24 * 60 * 60 * 1000;

/** @param folder absolute; it is made if it does not exist */
export function createArtifacts(folder: string): Artifacts {
  const withWorkFolder: Artifacts['withWorkFolder'] = async (use) => {
    await removeLeftovers(join(folder, workFolders));
    const work = join(folder, workFolders, randomUUID());
    await mkdir(work, { recursive: true });
    try {
      return await use(work);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  };
  const keep: Artifacts['keep'] = async (digest, name, file) => {
    const path = pathOf(digest, name);
    await mkdir(join(folder, path, '..'), { recursive: true });
    await rename(file, join(folder, path));
    return path;
  };
  return {
    folder,
    pathOf,
    withWorkFolder,
    keep,
    keepText: (digest, name, text) =>
      withWorkFolder(async (work) => {
        const file = join(work, name);
        await writeFile(file, text);
        return keep(digest, name, file);
      }),
    async readText(digest, name) {
      try {
        return await readFile(join(folder, pathOf(digest, name)), 'utf8');
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
  };
}

function pathOf(digest: Digest, name: string): string {
  return join(digest.replace(':', '/'), name);
}

async function removeLeftovers(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const left = join(folder, name);
    try {
      const { mtimeMs } = await stat(left);
      if (Date.now() - mtimeMs > longestWorkMs) await rm(left, { recursive: true, force: true });
    } catch (error) {
      // Another worker was done with it in between.
      if (!isNotFound(error)) throw error;
    }
  }
}

function isNotFound(error: unknown): boolean {
  return codeOf(error) === 'ENOENT';
}
