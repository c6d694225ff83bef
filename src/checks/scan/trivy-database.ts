import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { codeOf } from '../../domain/errors.ts';
import { unlessAbsent } from '../../platform/files/durable-file.ts';
import { request } from '../../platform/http/client.ts';
import { SharedRuns } from '../../platform/shared-runs.ts';

/** What Trivy is asked to download, and where it is. */
interface DatabaseOptions {
  /** Absolute: Trivy's cache folder. */
  readonly cacheDir: string;
  /** Of the database, in the cache folder; and what Trivy calls it in its options. */
  readonly kind: 'db' | 'java-db';
  readonly file: 'trivy.db' | 'trivy-java.db';
  /** Has Trivy download it into a cache folder of its own. */
  readonly download: (cacheDir: string, signal: AbortSignal) => Promise<void>;
}

export type TrivyDatabase = ReturnType<typeof createDatabase>;

const incoming = 'incoming-';
/** No download takes as long, so this one was interrupted. */
const leftOverAfterMs = 2 * 60 * 60_000;
const metadataFile = 'metadata.json';

/** One of the databases in Trivy's cache folder. */
export function createDatabase({ cacheDir, kind, file, download }: DatabaseOptions) {
  const folder = join(cacheDir, kind);
  const downloads = new SharedRuns<void>();
  return {
    /** Absolute. */
    folder,
    /** Undefined where there is none yet. */
    state: () => readMetadata(folder),
    /** What a scan with it depends on: another text once it is another database. Undefined where there is none yet. */
    async identity(): Promise<string | undefined> {
      const held = await hold(folder, file);
      await held?.release();
      return held?.identity;
    },
    /** The same, and the file as it is now, whatever is put in its place. */
    hold: () => hold(folder, file),
    /**
     * Downloads the newest one; several that ask at once share one download. Trivy would write into the very file that scans have mapped
     * into their memory, so it writes beside it, and the new file takes the place of the old one, which stays with whoever has it open.
     */
    download: (signal: AbortSignal) =>
      downloads.run(
        folder,
        async (stop) => {
          await mkdir(folder, { recursive: true });
          await removeLeftOvers(folder);
          // On the same file system, whatever the folder is.
          const beside = await mkdtemp(join(folder, incoming));
          try {
            await download(beside, stop);
            // In this order: between the two, the old metadata is still due, and so a crash here costs another download at most.
            for (const name of [file, metadataFile]) await rename(join(beside, kind, name), join(folder, name));
          } finally {
            await rm(beside, { recursive: true, force: true });
          }
        },
        signal,
      ),
  };
}

async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(incoming)) continue;
    const path = join(folder, name);
    const stats = await stat(path).catch(unlessAbsent);
    if (stats !== undefined && Date.now() - stats.mtimeMs > leftOverAfterMs) await rm(path, { recursive: true, force: true });
  }
}

async function hold(folder: string, file: string) {
  const handle = await open(join(folder, file)).catch(unlessAbsent);
  if (handle === undefined) return undefined;
  try {
    const metadata = await readMetadata(folder);
    const { ino, size, mtimeNs } = await handle.stat({ bigint: true });
    if (metadata !== undefined)
      return {
        identity: [metadata.updatedAt, ino, size, mtimeNs].join(' '),
        /** Whether nobody has written into this very file since. */
        async isIntact(): Promise<boolean> {
          const now = await handle.stat({ bigint: true });
          return now.size === size && now.mtimeNs === mtimeNs;
        },
        release: () => handle.close(),
      };
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return undefined;
}

const metadataSchema = z.object({ UpdatedAt: z.iso.datetime(), NextUpdate: z.iso.datetime() });

/** When a database was made (ISO 8601), which identifies it, and whether a newer one is due. */
async function readMetadata(folder: string): Promise<{ readonly updatedAt: string; readonly isDue: boolean } | undefined> {
  const path = join(folder, metadataFile);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const metadata = metadataSchema.safeParse(JSON.parse(text));
  if (metadata.success) return { updatedAt: metadata.data.UpdatedAt, isDue: Date.now() >= Date.parse(metadata.data.NextUpdate) };
  throw new Error(`${path} is not what Trivy writes: ${z.prettifyError(metadata.error)}; remove ${folder}`);
}

const serverSchema = z.object({ VulnerabilityDB: z.object({ UpdatedAt: z.string() }).nullish() });

/** When the database of a Trivy server was made, if it says so. */
export async function databaseOfServer(server: string, signal: AbortSignal): Promise<string | undefined> {
  const url = new URL('/version', server);
  const { status, text } = await request({
    what: `the Trivy server ${url.host}`,
    method: 'GET',
    url,
    signal,
    timeoutMs: 30_000,
    longestAnswer: 1024 * 1024,
  });
  if (status !== 200) throw new Error(`the Trivy server ${url.host} answered /version with ${status}, expected 200`);
  return serverSchema.parse(JSON.parse(text)).VulnerabilityDB?.UpdatedAt;
}
