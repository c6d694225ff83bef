import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Diagnosed, fine, warning } from '../../domain/diagnosis.ts';
import type { Environment } from '../../domain/environment.ts';
import { RateLimit, Refusal } from '../../domain/failures.ts';
import { type Digest, type Repository, registryOf } from '../../domain/image-reference.ts';
import { FolderTooLarge, withinFolder } from '../../platform/files/folder-size.ts';
import { childEnvironment, cloudAccounts } from '../../platform/processes/environment.ts';
import type { ProcessLimits } from '../../platform/processes/program.ts';
import { identityTokenUser, type RegistryCredentials } from '../../platform/registry/credentials.ts';
import type { CheckContext } from '../check.ts';
import {
  alone,
  costOfForgetting,
  createLayerCache,
  type LayerCache,
  type LayerCacheSettings,
  type ScanTerms,
} from './layer-cache.ts';
import { readReport } from './read-report.ts';
import { createDatabase, databaseOfServer, type TrivyDatabase } from './trivy-database.ts';
import { runTrivy, TrivyFailed, type TrivyRun } from './trivy-process.ts';

export interface TrivyOptions extends Pick<CheckContext, 'plainHttp' | 'credentials'> {
  readonly command: TrivyRun['command'];
  /** Absolute: where Trivy keeps its databases. */
  readonly cacheDir: string;
  /** An OCI repository that has the database; absent: Trivy's own. */
  readonly dbRepository?: string;
  /** The same for the index of Java archives, which is downloaded only once an image has some. */
  readonly javaDbRepository?: string;
  /** Nothing is ever downloaded: somebody else puts the databases into the cache folder. */
  readonly offline: boolean;
  /** URL of a Trivy server, which has the database then. */
  readonly server?: string;
  /** Bytes of memory that it may have; absent: 4 GiB. */
  readonly memory?: number;
  /** Bytes that it may unpack an image to; absent: 20 GiB. */
  readonly disk?: number;
  /** Absent: what was found in layers is not kept, and each scan looks through all of them. */
  readonly layers?: LayerCacheSettings;
  /** Where Trivy's environment is taken from, without Landfall's secrets and Trivy's own settings: PATH, HOME, proxies. */
  readonly env: Environment;
}

export interface TrivyTarget {
  readonly repository: Repository;
  readonly digest: Digest;
  /** Absolute: an OCI image layout with this image alone, which is looked at in place of the registry. */
  readonly layout?: string;
}

export interface Trivy {
  /**
   * Sees to a current vulnerability database.
   * @returns when it was made (ISO 8601), which identifies it; undefined where a server does not say
   * @throws Error where it cannot be had, saying what to do
   */
  database(signal: AbortSignal): Promise<string | undefined>;

  /**
   * Scans one image manifest for vulnerabilities and secrets. `database` comes first.
   * @param image at its registry, or one that was built and is in no registry yet
   * @param files absolute paths of what is written: Trivy's full JSON report, and an SBOM in CycloneDX's JSON
   * @throws Refusal `CredentialsRefused`; RateLimit
   */
  scan(image: TrivyTarget, files: { readonly report: string; readonly sbom: string }, signal: AbortSignal): Promise<void>;

  /** Whether there is a database, and how old it is. @throws where none can come by itself */
  diagnose(signal: AbortSignal): Promise<Diagnosed>;

  /** When the database here was made, ISO 8601; undefined where there is none yet, or a server has its own. */
  databaseMadeAt(): Promise<string | undefined>;

  /** Ends what runs beside us between scans. It ends with us, too. */
  stop(): Promise<void>;
}

export const scanners = 'vuln,secret';

const usualMemory = 4 * 1024 ** 3;
const usualDisk = 20 * 1024 ** 3;

const quiet = ['--no-progress', '--skip-version-check', '--disable-telemetry'];
/** Trivy's own limit is five minutes. The step has one, so this is only never to be shorter than that. */
const patient = ['--timeout', '1h'];
/** What lies about in a folder or a home decides nothing. An empty file, because older Trivys take no empty name here. */
const ownSettings = ['--config', '/dev/null', '--ignorefile', '/dev/null'];
/** How the client finds Docker's daemon, where Trivy runs as an image, and the credentials. */
const dockerVariables = [
  'DOCKER_CONFIG',
  'DOCKER_HOST',
  'DOCKER_CONTEXT',
  'DOCKER_TLS_VERIFY',
  'DOCKER_CERT_PATH',
  'DOCKER_API_VERSION',
  'SSH_AUTH_SOCK',
];

export function createTrivy(options: TrivyOptions): Trivy {
  const { offline, server } = options;
  const database = databaseOf(options, 'the vulnerability database', 'db');
  const javaIndex = databaseOf(options, 'the index of Java archives', 'java-db');
  const cache = layerCacheOf(options, database, javaIndex);
  return {
    async database(signal) {
      if (server !== undefined) return databaseOfServer(server, signal);
      const known = await database.state();
      if (known !== undefined && (offline || !known.isDue)) return known.updatedAt;
      if (!offline) await database.download(signal);
      const updated = await database.state();
      if (updated !== undefined) return updated.updatedAt;
      throw new Error(
        `no vulnerability database in ${database.folder}, and it is not downloaded (offline); put trivy.db and metadata.json there`,
      );
    },
    async scan(image, files, signal) {
      const scanOnce = () => writeReport(options, cache, image, files.report, signal);
      if (await wantsJavaIndex(options, javaIndex, scanOnce, files.report)) {
        await javaIndex.download(signal);
        await scanOnce();
      }
      await run(options, {
        folders: [dirname(files.report), dirname(files.sbom)],
        arguments: ['convert', '--format', 'cyclonedx', '--output', files.sbom, files.report],
        signal,
      });
    },
    diagnose: (signal) => diagnoseDatabase(options, database, signal),
    databaseMadeAt: async () => (server === undefined ? (await database.state())?.updatedAt : undefined),
    stop: async () => await cache?.stop(),
  };
}

const dayMs = 24 * 60 * 60_000;
/** A new one comes every six hours. */
const oldAfterDays = 2;

async function diagnoseDatabase(
  { server, offline, command }: TrivyOptions,
  database: TrivyDatabase,
  signal: AbortSignal,
): Promise<Diagnosed> {
  const program = 'image' in command ? `Trivy as the image ${command.image}` : command.join(' ');
  const updatedAt = server === undefined ? (await database.state())?.updatedAt : await databaseOfServer(server, signal);
  if (updatedAt === undefined) {
    if (server !== undefined) return fine(`the server ${server} answers`);
    if (!offline) return fine(`${program}; no vulnerability database yet: the first scan downloads it`);
    throw new Error(
      `no vulnerability database in ${database.folder}, and none is downloaded (trivy.offline): put trivy.db and metadata.json there`,
    );
  }
  const days = Math.floor((Date.now() - Date.parse(updatedAt)) / dayMs);
  const text = `${server === undefined ? program : `the server ${server}`}; the vulnerability database is of ${updatedAt}`;
  if (days < oldAfterDays || (server === undefined && !offline)) return fine(text);
  return warning(`${text}, ${days} days old: whoever puts it there has stopped (trivy.offline or trivy.server)`);
}

/** Where the Trivy of these options cannot remember layers, or another one does, undefined. */
function layerCacheOf(options: TrivyOptions, database: TrivyDatabase, javaIndex: TrivyDatabase): LayerCache | undefined {
  const { layers, command, server } = options;
  if (layers === undefined) return undefined;
  if (server !== undefined) {
    layers.log.warn(
      {},
      'trivy.server remembers layers by what images claim of them: whoever may push can have it mistake one for another',
    );
    return undefined;
  }
  const why = 'image' in command ? 'Trivy runs as an image' : process.platform === 'win32' ? 'this is Windows' : undefined;
  if (why !== undefined || 'image' in command) {
    layers.log.warn({}, `what Trivy finds in layers is not kept, because ${why}: ${costOfForgetting}`);
    return undefined;
  }
  return createLayerCache({ ...options, ...layers, command, database, javaIndex, limits: limitsOf(options) });
}

/** Runs Trivy where no file and no variable but ours changes what it does. */
async function run(
  options: TrivyOptions,
  {
    environment,
    ...rest
  }: Omit<TrivyRun, 'command' | 'directory' | 'environment' | 'limits'> & Partial<Pick<TrivyRun, 'environment'>>,
): Promise<void> {
  const { command, cacheDir, env } = options;
  await mkdir(cacheDir, { recursive: true });
  await runTrivy({
    ...rest,
    command,
    directory: cacheDir,
    limits: limitsOf(options),
    arguments: [...rest.arguments, ...ownSettings, ...patient],
    environment: { ...childEnvironment(env, [...dockerVariables, ...cloudAccounts]), ...environment },
  });
}

function limitsOf({ memory = usualMemory, disk = usualDisk }: TrivyOptions): ProcessLimits {
  return { memoryBytes: memory, fileBytes: disk };
}

/**
 * Scans, and says whether a scan with a newer index of Java archives would see more. Only a scan shows whether an image has such
 * archives, and the index takes a gigabyte: whoever has no Java image never downloads it.
 */
async function wantsJavaIndex(
  { offline }: TrivyOptions,
  javaIndex: TrivyDatabase,
  scanOnce: () => Promise<void>,
  report: string,
): Promise<boolean> {
  try {
    await scanOnce();
  } catch (error) {
    if (!(error instanceof TrivyFailed) || !error.lacksJavaIndex) throw error;
    if (!offline) return true;
    throw new Error(
      `the image has Java archives, and there is no index of them in ${javaIndex.folder}, nor is it downloaded (offline); put trivy-java.db and metadata.json there`,
      { cause: error },
    );
  }
  const isDue = !offline && (await javaIndex.state())?.isDue;
  return isDue === true && (await readReport(report, 'any'))?.hasJavaArchives === true;
}

async function writeReport(
  options: TrivyOptions,
  cache: LayerCache | undefined,
  image: TrivyTarget,
  report: string,
  signal: AbortSignal,
): Promise<void> {
  if (image.layout !== undefined) return await writeReportOfLayout(options, image, image.layout, report, signal);
  const registry = registryOf(image.repository);
  const known = await options.credentials(registry);
  const credentials = loginOf(known, registry);
  // Databases are downloaded by us: scans at the same time would write over each other.
  const scan = ['image', ...quiet, '--cache-dir', options.cacheDir, '--skip-java-db-update'];
  const offline = options.offline ? ['--offline-scan'] : [];
  const login = credentials === undefined ? [] : ['--password-stdin'];
  const what = ['--scanners', scanners, '--secret-config', '', '--image-src', 'remote', '--format', 'json', '--output', report];
  const words = [...scan, ...offline, ...login, ...what, `${image.repository}@${image.digest}`];
  const environment = {
    // Unpacked layers go where they are removed with the report, also when Trivy is killed.
    TMPDIR: dirname(report),
    ...(credentials !== undefined && { TRIVY_USERNAME: credentials.username }),
    ...(options.plainHttp(registry) && { TRIVY_INSECURE: 'true' }),
  };
  const password = credentials !== undefined && { input: credentials.password };
  const folders = [options.cacheDir, dirname(report)];
  const scanWith = (terms: ScanTerms, stop: AbortSignal) =>
    withinFolder(dirname(report), limitsOf(options).fileBytes, stop, (both) => {
      const [first = '', ...rest] = words;
      const more = { arguments: [first, ...terms.options, ...rest], environment: { ...environment, ...terms.environment } };
      // What it has half done is not to be kept by the server.
      const stopBy = terms !== alone && { stopBy: 'SIGKILL' as const };
      return run(options, { folders, ...more, ...password, ...stopBy, signal: both });
    });
  try {
    if (cache !== undefined) await cache.scan({ ...image, user: known?.username }, signal, scanWith);
    else
      await scanWith(options.server === undefined ? alone : { options: ['--server', options.server], environment: {} }, signal);
  } catch (error) {
    if (error instanceof FolderTooLarge) throw overLimit('disk', image, options, error);
    if (!(error instanceof TrivyFailed)) throw error;
    throw error.metLimit === undefined ? classified(error, image.repository) : overLimit(error.metLimit, image, options, error);
  }
}

/** Of an image on this disk. Nothing is remembered of its layers: they are not in any registry, and what is pushed is scanned once more. */
async function writeReportOfLayout(
  options: TrivyOptions,
  image: TrivyTarget,
  layout: string,
  report: string,
  signal: AbortSignal,
): Promise<void> {
  const scan = [
    'image',
    ...quiet,
    '--cache-dir',
    options.cacheDir,
    '--skip-java-db-update',
    ...(options.offline ? ['--offline-scan'] : []),
  ];
  const what = ['--scanners', scanners, '--secret-config', '', '--format', 'json', '--output', report, '--input', layout];
  const from = options.server === undefined ? alone.options : ['--server', options.server];
  const folders = [options.cacheDir, dirname(report), dirname(layout)];
  try {
    await withinFolder(dirname(report), limitsOf(options).fileBytes, signal, (both) =>
      run(options, { folders, arguments: [...scan, ...from, ...what], environment: { TMPDIR: dirname(report) }, signal: both }),
    );
  } catch (error) {
    if (error instanceof FolderTooLarge) throw overLimit('disk', image, options, error);
    if (!(error instanceof TrivyFailed) || error.metLimit === undefined) throw error;
    throw overLimit(error.metLimit, image, options, error);
  }
}

/** What an image is like decides how much Trivy takes, so the answer is no: it would take as much again. */
function overLimit(limit: 'memory' | 'disk', { repository, digest }: TrivyTarget, options: TrivyOptions, cause: Error): Refusal {
  const { memoryBytes, fileBytes } = limitsOf(options);
  const most = `${Math.round((limit === 'memory' ? memoryBytes : fileBytes) / 1024 ** 2)} MiB`;
  return new Refusal(
    'ScanFailed',
    `expected Trivy to scan ${repository}@${digest} with at most ${most} of ${limit}, but it needs more: make the image smaller, or raise ` +
      `trivy.${limit} if this machine has it`,
    [],
    { cause },
  );
}

/** An identity token comes from Docker's own configuration, where Trivy finds it by itself; as a password it would be refused. */
function loginOf(credentials: RegistryCredentials | undefined, registry: string): RegistryCredentials | undefined {
  if (credentials === undefined || credentials.username === identityTokenUser) return undefined;
  if (!/[\s,]/.test(credentials.username)) return credentials;
  throw new Refusal(
    'CredentialsRefused',
    `Trivy takes no user name with a comma or white space, as ${registry} has one; use another account for it under registries`,
  );
}

/** Trivy has one exit code for everything, so what its registry client printed has to tell. */
function classified(error: TrivyFailed, repository: Repository): Error {
  const registry = registryOf(repository);
  if (!['401', '403', 'UNAUTHORIZED', 'DENIED'].includes(error.answer ?? '')) return rateLimit(error, registry) ?? error;
  return new Refusal(
    'CredentialsRefused',
    `${registry} does not let Trivy read ${repository}; check the credentials under registries. ${error.message}`,
    [],
    { cause: error },
  );
}

/** Undefined where the answer was another. Registries that limit their rate do not tell Trivy's callers for how long. */
function rateLimit({ answer }: TrivyFailed, host: string): RateLimit | undefined {
  if (answer !== '429' && answer !== 'TOOMANYREQUESTS') return undefined;
  return new RateLimit(`${host} asks Trivy to come back later`, new Date(Date.now() + 60_000));
}

/** One of the databases in Trivy's cache folder. @param what for people */
function databaseOf(options: TrivyOptions, what: string, kind: 'db' | 'java-db'): TrivyDatabase {
  const from = kind === 'db' ? options.dbRepository : options.javaDbRepository;
  const folder = join(options.cacheDir, kind);
  const download = async (cacheDir: string, signal: AbortSignal) => {
    const repository = from === undefined ? [] : [`--${kind}-repository`, from];
    const only = ['image', `--download-${kind}-only`, '--cache-dir', cacheDir, ...quiet, ...repository];
    try {
      await run(options, { folders: [options.cacheDir], arguments: only, signal });
    } catch (error) {
      if (!(error instanceof TrivyFailed)) throw error;
      const message = `${what} cannot be downloaded; let this machine reach ${from ?? "Trivy's registries"}, name a mirror under trivy, or put it into ${folder} and scan offline. ${error.message}`;
      throw rateLimit(error, `the registry of ${what}`) ?? new Error(message, { cause: error });
    }
  };
  return createDatabase({ ...options, kind, file: kind === 'db' ? 'trivy.db' : 'trivy-java.db', download });
}
