import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { BuildPlan } from '../domain/build.ts';
import { readTextIfThere, unlessAbsent } from '../platform/files/durable-file.ts';

/** What is built stays on disk for as long as somebody may come back to it: a folder for each run of a build, with one for each platform in it. */

const [dayMs, weekMs] = [24 * 60 * 60_000, 7 * 24 * 60 * 60_000];

const untilFile = 'until';

/** As a step of a build is done: the next one may have to wait for a decision. Does nothing where nothing was built. */
export async function keepBuild(build: string, { decideWithinMs }: Pick<BuildPlan, 'decideWithinMs'>): Promise<void> {
  const until = new Date(Date.now() + Math.max(weekMs, decideWithinMs + dayMs)).toISOString();
  await writeFile(join(build, untilFile), until).catch(unlessAbsent);
}

/** @param folder of all builds; it is made if it does not exist */
export async function removeOldBuilds(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const name of await readdir(folder)) {
    const build = join(folder, name);
    if (Date.now() > (await keptUntil(build))) await rm(build, { recursive: true, force: true });
  }
}

async function keptUntil(build: string): Promise<number> {
  // Another one may end, and remove its own, in between.
  const found = await stat(build).catch(unlessAbsent);
  const until = Date.parse((found?.isDirectory() && (await readTextIfThere(join(build, untilFile)))) || '');
  return Number.isNaN(until) ? (found?.mtimeMs ?? Number.POSITIVE_INFINITY) + weekMs : until;
}

/** What earlier attempts at a platform have left that were killed: sources, half an image, and secrets. There is one attempt at a time. */
export async function removeAttempts(home: string): Promise<void> {
  for (const name of await readdir(dirname(home)))
    if (name.startsWith(`${basename(home)}.`)) await rm(join(dirname(home), name), { recursive: true, force: true });
}
