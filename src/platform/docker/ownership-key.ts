import { randomBytes } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { readTextIfThere } from '../files/durable-file.ts';

/** In the data folder. */
const fileName = 'docker-ownership.key';

/**
 * The key by which this installation knows what it made in Docker, see `labelsOf`: made once, the same for every process that has the
 * data folder, and readable for nobody else. Where it was lost, there is a new one, which proves nothing of what was made before: that is
 * left alone.
 * @returns 64 hexadecimal digits
 * @throws Error if the file holds something else
 */
export async function ownershipKey(folder: string): Promise<string> {
  const path = join(folder, fileName);
  const key = (await readTextIfThere(path)) ?? (await makeKey(folder, path));
  if (!/^[0-9a-f]{64}$/.test(key)) {
    throw new Error(
      `expected 64 hexadecimal digits in ${path}, found something else: remove the file, and what checks have left in Docker until now is then yours to remove`,
    );
  }
  await chmod(path, 0o600);
  return key;
}

/** Whole before it has its name, and never over another one: of two processes at once, both take the key of the first. */
async function makeKey(folder: string, path: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const key = randomBytes(32).toString('hex');
  const part = `${path}.${key.slice(0, 8)}.part`;
  const file = await open(part, 'wx', 0o600);
  try {
    await file.writeFile(key);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await link(part, path);
    return key;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return await readFile(path, 'utf8');
    throw error;
  } finally {
    await rm(part, { force: true });
  }
}
