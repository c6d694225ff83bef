import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../../domain/errors.ts';
import { SharedRuns } from '../../platform/shared-runs.ts';

/** One of the databases that Trivy keeps in its cache folder. */
export interface Database {
  /** When it was made (ISO 8601), which identifies it, and whether a newer one is due; undefined where there is none. */
  state(): Promise<{ readonly updatedAt: string; readonly isDue: boolean } | undefined>;
  /** Downloads the newest one; several that ask at once share one download, for they would write over each other. */
  download(signal: AbortSignal): Promise<void>;
  /** Absolute. */
  readonly folder: string;
}

const metadataSchema = z.object({ UpdatedAt: z.iso.datetime(), NextUpdate: z.iso.datetime() });

/**
 * @param folder where Trivy keeps this database: `db` or `java-db` in its cache folder
 * @param download lets Trivy download it
 */
export function createDatabase(folder: string, download: (signal: AbortSignal) => Promise<void>): Database {
  const downloads = new SharedRuns<void>();
  return {
    folder,
    async state() {
      const metadata = await readMetadata(folder);
      return metadata && { updatedAt: metadata.UpdatedAt, isDue: Date.now() >= Date.parse(metadata.NextUpdate) };
    },
    download: (signal) => downloads.run(folder, download, signal),
  };
}

/** Undefined where there is no database yet. */
async function readMetadata(folder: string): Promise<z.infer<typeof metadataSchema> | undefined> {
  const path = join(folder, 'metadata.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const metadata = metadataSchema.safeParse(JSON.parse(text));
  if (metadata.success) return metadata.data;
  throw new Error(`${path} is not what Trivy writes: ${z.prettifyError(metadata.error)}; remove ${folder}`);
}
