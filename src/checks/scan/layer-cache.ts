import { join } from 'node:path';
import type { Environment } from '../../domain/environment.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { type Digest, type Repository, registryOf } from '../../domain/image-reference.ts';
import type { Log } from '../../domain/log.ts';
import { isLoopbackHost } from '../../domain/plain-http.ts';
import { childEnvironment } from '../../platform/processes/environment.ts';
import type { ProcessLimits } from '../../platform/processes/program.ts';
import type { Registry } from '../../platform/registry/registry.ts';
import { type ImageLayer, readLayers } from './image-layers.ts';
import { createLayerRecords } from './layer-records.ts';
import { LayerServer, ServerCannotStart, ServerEnded } from './layer-server.ts';
import type { TrivyDatabase } from './trivy-database.ts';
import { ScanBroken } from './trivy-process.ts';

/** Whether and how Trivy remembers what it found in layers. */
export interface LayerCacheSettings {
  readonly registry: Pick<Registry, 'manifest' | 'configBytes'>;
  readonly log: Pick<Log, 'warn'>;
  /** Bytes that it may take on the disk; absent: 2 GiB. */
  readonly mostBytes?: number;
  /** How long the server stays when nothing is scanned; absent: five minutes. */
  readonly idleMs?: number;
  readonly now?: () => Date;
}

interface LayerCacheOptions extends LayerCacheSettings {
  readonly command: readonly string[];
  readonly cacheDir: string;
  readonly env: Environment;
  readonly limits: ProcessLimits;
  readonly offline: boolean;
  readonly plainHttp: (registry: string) => boolean;
  readonly database: Pick<TrivyDatabase, 'identity' | 'hold'>;
  readonly javaIndex: Pick<TrivyDatabase, 'identity'>;
}

/** How one scan is to run: options of Trivy, and variables beside those that every scan has. */
export interface ScanTerms {
  readonly options: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** One image to scan. */
interface ScanTarget {
  readonly repository: Repository;
  readonly digest: Digest;
  /** Whose account is used at the registry. */
  readonly user: string | undefined;
}

type OpenDatabase = NonNullable<Awaited<ReturnType<TrivyDatabase['hold']>>>;
type Scan = (terms: ScanTerms, signal: AbortSignal) => Promise<void>;

/** Nothing is kept: Trivy locks a cache on disk, and scans at the same time would wait for each other and fail. */
export const alone: ScanTerms = { options: ['--cache-backend', 'memory', '--skip-db-update'], environment: {} };

/** For log lines. */
export const costOfForgetting = 'every layer of every image is downloaded and looked through at each scan';

/** Whose code was read for what it knows a layer by, and in which layers it looks for secrets: see image-layers.ts. */
const knownVersion = /^0\.76\.\d+$/;
const usualBytes = 2 * 1024 ** 3;
const usualIdleMs = 5 * 60_000;
const tryAgainMs = 10 * 60_000;
/** What was found in a layer is believed for as long at most: nobody knows all that can go wrong while it is looked through. */
const believedMs = 7 * 24 * 60 * 60_000;
const mostSuspects = 1_000;

export type LayerCache = ReturnType<typeof createLayerCache>;

/** Has layers scanned once, see docs/decisions/0039-layers-are-scanned-once.md. */
export function createLayerCache(options: LayerCacheOptions) {
  const { log, server, records, database } = partsOf(options);
  const { now = () => new Date() } = options;
  const termsOf = async ({ repository, user }: ScanTarget, version: string) => {
    const period = Math.floor(now().getTime() / believedMs);
    return [version, registryOf(repository), user, await options.javaIndex.identity(), options.offline, period];
  };
  // An image that takes the server down with it does so once, and then meets limits of its own.
  const suspects = new Set<Digest>();
  const told = new Set<string>();
  let notBefore = 0;
  const tellOnce = (message: string, cause?: unknown) => {
    if (told.has(message)) return;
    told.add(message);
    log.warn({ ...(cause !== undefined && { error: cause }) }, `${message}; meanwhile ${costOfForgetting}`);
  };

  const scanShared = async (
    image: ScanTarget,
    layers: readonly ImageLayer[],
    held: OpenDatabase,
    signal: AbortSignal,
    scan: Scan,
  ) =>
    await server.use(held.identity, signal, async ({ url, token, version }, both) => {
      const partition = await records.partitionFor(await termsOf(image, version), layers);
      if (partition === undefined) return await scan(alone, both);
      // No analyzer has this name, so the pattern gives no file to any, but Trivy makes it a part of what it knows a layer by.
      const shared = ['--server', url, '--file-patterns', `landfall:^${partition}$`];
      await scan({ options: shared, environment: { TRIVY_TOKEN: token } }, both);
      if (!(await held.isIntact()))
        throw new Error('the vulnerability database was written anew while an image was scanned with it; it is scanned again');
    });

  return {
    /** @param scan called again where the server, as it turns out, cannot be used */
    async scan(image: ScanTarget, signal: AbortSignal, scan: Scan): Promise<void> {
      const layers = await claimsOf(image, options, tellOnce);
      const isBarred = Date.now() < notBefore || suspects.delete(image.digest);
      const held = layers === undefined || isBarred ? undefined : await database.hold();
      if (layers === undefined || held === undefined) return await scan(alone, signal);
      try {
        return await scanShared(image, layers, held, signal, scan);
      } catch (error) {
        // Trivy keeps what it found in a layer although it could not look at all of it.
        if (error instanceof ScanBroken) await records.forget();
        if (error instanceof ServerEnded && suspects.size < mostSuspects) suspects.add(image.digest);
        if (!(error instanceof ServerCannotStart)) throw error;
        notBefore = error.isFinal ? Number.POSITIVE_INFINITY : Date.now() + tryAgainMs;
        tellOnce(error.message, error);
      } finally {
        await held.release();
      }
      await scan(alone, signal);
    },
    /** Ends the server once no scan uses it. */
    stop: () => server.stop(),
  };
}

function partsOf({ cacheDir, mostBytes = usualBytes, idleMs = usualIdleMs, ...options }: LayerCacheOptions) {
  const { command, limits, log, database } = options;
  const folder = join(cacheDir, 'layers');
  const records = createLayerRecords(join(folder, 'records'));
  const environment = childEnvironment(options.env, []);
  const server = new LayerServer({
    identity: () => database.identity(),
    ...{ command, cacheDir, folder, records, mostBytes, idleMs, limits, environment, knownVersion },
  });
  return { log, server, records, database };
}

/**
 * What the image claims of its layers; undefined where nothing is to be kept of it. What the registry says no to, Trivy is told as well, and
 * what it makes of that is what people see.
 * @throws Refusal `DigestMismatch`; RateLimit
 */
async function claimsOf(
  { repository, digest }: ScanTarget,
  { registry, plainHttp }: Pick<LayerCacheOptions, 'registry' | 'plainHttp'>,
  tell: (message: string) => void,
): Promise<readonly ImageLayer[] | undefined> {
  const host = registryOf(repository);
  if (plainHttp(host) && !isLoopbackHost(host.replace(/:\d+$/, ''))) {
    // Trivy checks how long a layer is, not what: whoever is on the way could have one found clean for ever.
    tell(`${host} is spoken to without TLS, so nothing is kept of its layers`);
    return undefined;
  }
  try {
    return await readLayers(registry, repository, digest);
  } catch (error) {
    if (error instanceof RateLimit || (error instanceof Refusal && error.type === 'DigestMismatch')) throw error;
    return undefined;
  }
}
