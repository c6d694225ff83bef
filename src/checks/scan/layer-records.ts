import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { sync, unlessAbsent } from '../../platform/files/durable-file.ts';
import { madeOnce } from '../../platform/files/made-once.ts';
import type { ImageLayer } from './image-layers.ts';

const mostPartitions = 4;
const epochFile = 'epoch';

export type LayerRecords = ReturnType<typeof createLayerRecords>;

/**
 * What the layers in Trivy's cache are in truth. Trivy finds a layer again by what images claim of it, so a part of the cache (a partition) is
 * used by images alone that mean the same layers by the same claims: a file for each claim, which is made once and never changed, says what
 * was meant first. It is on the disk before Trivy may keep anything under that claim, so none is lost to a crash.
 */
export function createLayerRecords(folder: string) {
  return {
    folder,
    /**
     * The name of the partition that these layers may be kept in and taken from, with all of them noted there; undefined if there is none.
     * @param terms whatever else changes what is found in a layer, or who may learn of it
     */
    async partitionFor(terms: readonly unknown[], layers: readonly ImageLayer[]): Promise<string | undefined> {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      // Whoever removes the records, and not the layers, would have layers without records; under a new epoch Trivy finds none of them.
      const epoch = await madeOnce(join(folder, epochFile), randomUUID);
      if (epoch === '') return undefined;
      await sync(folder, 'r');
      const common = createHash('sha256')
        .update(JSON.stringify([epoch, ...terms]))
        .digest('hex');
      for (let number = 0; number < mostPartitions; number++) {
        const name = `${common.slice(0, 40)}-${number}`;
        if (await note(join(folder, name), layers)) return name;
      }
      return undefined;
    },
    /** Whatever is in the cache is never found again. */
    async forget(): Promise<void> {
      // First, because some records without the others would be worse than none.
      await rm(join(folder, epochFile), { force: true });
      await sync(folder, 'r').catch(unlessAbsent);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Notes all layers, unless one of them is noted as something else. */
async function note(folder: string, layers: readonly ImageLayer[]): Promise<boolean> {
  const known = await Promise.all(layers.map(({ diffId }) => readRecord(pathOf(folder, diffId))));
  if (layers.some(({ content }, index) => (known[index] ?? content) !== content)) return false;
  const missing = layers.filter((_, index) => known[index] === undefined);
  if (missing.length === 0) return true;
  const isNew = (await mkdir(folder, { recursive: true, mode: 0o700 })) !== undefined;
  if (isNew) await sync(dirname(folder), 'r');
  const noted = await Promise.all(missing.map(({ diffId, content }) => madeOnce(pathOf(folder, diffId), () => content)));
  await sync(folder, 'r');
  return missing.every(({ content }, index) => noted[index] === content);
}

/** Undefined where there is none; one that cannot be read counts as another one than any layer's. */
async function readRecord(path: string): Promise<string | undefined> {
  return await readFile(path, 'utf8').catch((error: unknown) => (codeOf(error) === 'ENOENT' ? undefined : ''));
}

function pathOf(folder: string, diffId: string): string {
  return join(folder, diffId.replace(':', '-'));
}
