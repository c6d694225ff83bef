import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../domain/image-reference.ts';
import { readTextIfThere, unlessAbsent } from './files/durable-file.ts';
import { removeOlder } from './files/leftovers.ts';

/** The SBOM of an image of one platform, in CycloneDX's JSON. */
export const sbomFile = 'sbom.cdx.json';

const workFolders = '.work';
/** No step works longer than this on its files, so what is older was left by a worker that was killed. */
const longestWorkMs = 24 * 60 * 60 * 1000;

/**
 * What is too large for a workflow's history: files named by the digest that they are about, as `sha256/HEX/NAME` in a folder that api
 * and workers share. A file is there as a whole or not at all, even if a process is killed.
 */
export class Artifacts {
  /** Absolute: where the paths below begin. */
  readonly folder: string;

  /** @param folder absolute; it is made if it does not exist */
  constructor(folder: string) {
    this.folder = folder;
  }

  /** `sha256/HEX/NAME`, whether it is there or not. */
  pathOf(digest: Digest, name: string): string {
    return join(digest.replace(':', '/'), name);
  }

  /** A new folder on the same disk, for files in the making. It is removed afterwards. */
  async withWorkFolder<Result>(use: (folder: string) => Promise<Result>): Promise<Result> {
    await removeOlder(join(this.folder, workFolders), longestWorkMs);
    const work = join(this.folder, workFolders, randomUUID());
    await mkdir(work, { recursive: true });
    try {
      return await use(work);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
  }

  /** Moves a file out of a work folder to its place, and replaces what is there. Returns its path within the artifacts folder. */
  async keep(digest: Digest, name: string, file: string): Promise<string> {
    const path = this.pathOf(digest, name);
    await mkdir(join(this.folder, path, '..'), { recursive: true });
    await rename(file, join(this.folder, path));
    return path;
  }

  /** The same for a text. */
  async keepText(digest: Digest, name: string, text: string): Promise<string> {
    return await this.withWorkFolder(async (work) => {
      const file = join(work, name);
      await writeFile(file, text);
      return await this.keep(digest, name, file);
    });
  }

  /** Undefined if there is none. */
  async readText(digest: Digest, name: string): Promise<string | undefined> {
    return await readTextIfThere(join(this.folder, this.pathOf(digest, name)));
  }
}

/** What is kept of them. */
export interface ArtifactLimits {
  readonly longestMs: number;
  readonly mostBytes: number;
}

export const usualArtifactLimits: ArtifactLimits = { longestMs: 90 * 24 * 60 * 60 * 1000, mostBytes: 10 * 1024 ** 3 };

/**
 * Removes what is older than the limit, and the oldest of what is too much. Reports are made anew by the next scan of their image, and a
 * rollback needs none; what is of the last day stays in any case, because a rollout may be about to read it.
 * @returns how many digests were removed
 */
export async function sweepArtifacts(
  folder: string,
  { longestMs, mostBytes }: ArtifactLimits,
  now = Date.now(),
): Promise<number> {
  const all = join(folder, 'sha256');
  const names = await readdir(all).catch(unlessAbsent);
  const found = await Promise.all((names ?? []).map(async (name) => await measured(join(all, name))));
  let bytes = 0;
  let removed = 0;
  for (const { path, size, newestMs } of found.sort((one, other) => other.newestMs - one.newestMs)) {
    bytes += size;
    const ageMs = now - newestMs;
    if (ageMs <= longestWorkMs || (ageMs <= longestMs && bytes <= mostBytes)) continue;
    await rm(path, { recursive: true, force: true });
    bytes -= size;
    removed += 1;
  }
  return removed;
}

/** Another worker may remove it in between: then it has no size. */
async function measured(path: string) {
  const names = (await readdir(path).catch(unlessAbsent)) ?? [];
  const files = await Promise.all(names.map((name) => stat(join(path, name)).catch(unlessAbsent)));
  const known = files.filter((file) => file !== undefined);
  return {
    path,
    size: known.reduce((sum, file) => sum + file.size, 0),
    newestMs: Math.max(0, ...known.map((file) => file.mtimeMs)),
  };
}
