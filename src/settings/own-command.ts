import { realpathSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import type { Environment } from '../domain/environment.ts';

/**
 * How whoever reads it can call this very command: `landfall` where that is what PATH finds, else its whole path. Never by `npx`, which
 * asks the registry of npm for a package of the name where it finds none.
 */
export function ownCommand({ PATH = '' }: Environment): string {
  const root = findPackageJSON(import.meta.url);
  if (root === undefined) return name;
  const launcher = join(dirname(root), 'bin', 'landfall.mjs');
  const isOnPath = PATH.split(delimiter).some((folder) => !isOfNpm(folder) && sameFile(join(folder, name), launcher));
  const path = /^[\w./+-]+$/.test(launcher) ? launcher : `'${launcher}'`;
  return isOnPath ? name : `node ${path}`;
}

const name = 'landfall';

/** npm puts these on the PATH of what it starts, but not on that of the shell. */
function isOfNpm(folder: string): boolean {
  return /[\\/]node_modules[\\/]\.bin[\\/]?$/.test(folder);
}

function sameFile(one: string, other: string): boolean {
  try {
    return realpathSync(one) === realpathSync(other);
  } catch {
    return false;
  }
}
