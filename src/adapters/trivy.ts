import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { RateLimit, Refusal } from '../domain/failures.ts';
import { type Digest, type Repository, registryOf } from '../domain/image-reference.ts';
import { identityTokenUser } from './registry/credentials.ts';
import { SharedRuns } from './shared-runs.ts';
import { runTrivy, type TrivyCommand, TrivyFailed } from './trivy-process.ts';

export { type TrivyCommand, trivyCommand } from './trivy-process.ts';

export interface TrivyOptions {
  /** See `trivyCommand`. */
  readonly command: TrivyCommand;
  /** Where Trivy keeps its vulnerability database. */
  readonly cacheDir: string;
  /** An OCI repository that has the database; absent: Trivy's own. */
  readonly dbRepository?: string;
  /** The database is never downloaded: somebody else puts it into the cache folder. */
  readonly offline: boolean;
  /** URL of a Trivy server, which has the database then. */
  readonly server?: string;
  /** Whether a registry (host and port) is spoken to over plain HTTP. */
  readonly plainHttp: (registry: string) => boolean;
  /** Undefined: anonymous, or what Trivy finds in Docker's own configuration. */
  readonly credentials: (registry: string) => Promise<{ readonly username: string; readonly password: string } | undefined>;
  /** What Trivy finds in its environment: PATH, HOME, proxies. */
  readonly env: Readonly<Record<string, string | undefined>>;
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
   * @param files absolute paths of what is written: Trivy's full JSON report, and an SBOM in CycloneDX's JSON
   * @throws Refusal `CredentialsRefused`; RateLimit
   */
  scan(
    image: { readonly repository: Repository; readonly digest: Digest },
    files: { readonly report: string; readonly sbom: string },
    signal: AbortSignal,
  ): Promise<void>;
}

export const scanners = 'vuln,secret';

/** Registries that limit their rate do not tell Trivy's callers for how long. */
const waitWhenLimitedMs = 60_000;
const quiet = ['--no-progress', '--skip-version-check', '--disable-telemetry'];

export function createTrivy(options: TrivyOptions): Trivy {
  // Two downloads at once would write over each other in the cache folder.
  const downloads = new SharedRuns<void>();
  return {
    async database(signal) {
      if (options.server !== undefined) return databaseOfServer(options.server, signal);
      const known = await databaseIn(options);
      if (known !== undefined && (options.offline || Date.now() < Date.parse(known.NextUpdate))) return known.UpdatedAt;
      if (!options.offline) await downloads.run('database', (stop) => download(options, stop), signal);
      const updated = await databaseIn(options);
      if (updated !== undefined) return updated.UpdatedAt;
      throw new Error(
        `no vulnerability database in ${join(options.cacheDir, 'db')}, and it is not downloaded (offline); put trivy.db and metadata.json there`,
      );
    },
    async scan(image, files, signal) {
      await writeReport(options, image, files.report, signal);
      const sbom = ['convert', '--format', 'cyclonedx', '--output', files.sbom, files.report];
      await runTrivy({
        command: options.command,
        folders: [dirname(files.report), dirname(files.sbom)],
        arguments: sbom,
        environment: options.env,
        signal,
      });
    },
  };
}

async function writeReport(
  options: TrivyOptions,
  image: { readonly repository: Repository; readonly digest: Digest },
  report: string,
  signal: AbortSignal,
): Promise<void> {
  const registry = registryOf(image.repository);
  const credentials = await loginFor(registry, options);
  const database =
    options.server === undefined
      ? // In memory, because Trivy locks a cache on disk: scans at the same time would wait for each other and fail.
        ['--cache-dir', options.cacheDir, '--cache-backend', 'memory', '--skip-db-update']
      : ['--server', options.server];
  const scan = ['image', ...quiet, ...database, ...(options.offline ? ['--skip-java-db-update', '--offline-scan'] : [])];
  const login = credentials === undefined ? [] : ['--password-stdin'];
  const what = ['--scanners', scanners, '--image-src', 'remote', '--format', 'json', '--output', report];
  try {
    await runTrivy({
      command: options.command,
      folders: [options.cacheDir, dirname(report)],
      arguments: [...scan, ...login, ...what, `${image.repository}@${image.digest}`],
      environment: {
        ...options.env,
        // Unpacked layers go where they are removed with the report, also when Trivy is killed.
        TMPDIR: dirname(report),
        ...(credentials === undefined ? {} : { TRIVY_USERNAME: credentials.username }),
        ...(options.plainHttp(registry) ? { TRIVY_INSECURE: 'true' } : {}),
      },
      ...(credentials === undefined ? {} : { input: credentials.password }),
      signal,
    });
  } catch (error) {
    throw error instanceof TrivyFailed ? classified(error, image.repository) : error;
  }
}

/** An identity token comes from Docker's own configuration, where Trivy finds it by itself; as a password it would be refused. */
async function loginFor(registry: string, options: TrivyOptions): ReturnType<TrivyOptions['credentials']> {
  const credentials = await options.credentials(registry);
  if (credentials === undefined || credentials.username === identityTokenUser) return undefined;
  if (!/[\s,]/.test(credentials.username)) return credentials;
  throw new Refusal(
    'CredentialsRefused',
    `Trivy takes no user name with a comma or white space, as ${registry} has one; use another account for it under registries`,
  );
}

/** Trivy has one exit code for everything, so what its registry client printed has to tell. */
function classified(error: TrivyFailed, repository: Repository): Error {
  if (isRateLimited(error)) return rateLimit(registryOf(repository));
  if (!['401', '403', 'UNAUTHORIZED', 'DENIED'].includes(error.answer ?? '')) return error;
  return new Refusal(
    'CredentialsRefused',
    `${registryOf(repository)} does not let Trivy read ${repository}; check the credentials under registries. ${error.message}`,
    [],
    { cause: error },
  );
}

function isRateLimited({ answer }: TrivyFailed): boolean {
  return answer === '429' || answer === 'TOOMANYREQUESTS';
}

function rateLimit(host: string): RateLimit {
  return new RateLimit(`${host} asks Trivy to come back later`, new Date(Date.now() + waitWhenLimitedMs));
}

async function download(options: TrivyOptions, signal: AbortSignal): Promise<void> {
  await mkdir(options.cacheDir, { recursive: true });
  const from = options.dbRepository === undefined ? [] : ['--db-repository', options.dbRepository];
  const only = ['image', '--download-db-only', '--cache-dir', options.cacheDir, ...quiet, ...from];
  try {
    await runTrivy({ command: options.command, folders: [options.cacheDir], arguments: only, environment: options.env, signal });
  } catch (error) {
    if (!(error instanceof TrivyFailed)) throw error;
    if (isRateLimited(error)) throw rateLimit('the registry of the vulnerability database');
    throw new Error(
      `the vulnerability database cannot be downloaded; let this machine reach ${options.dbRepository ?? "Trivy's registries"}, name a mirror as database repository, or put the database into ${join(options.cacheDir, 'db')} and scan offline. ${error.message}`,
      { cause: error },
    );
  }
}

const metadataSchema = z.object({ UpdatedAt: z.iso.datetime(), NextUpdate: z.iso.datetime() });

/** Undefined where there is no database yet. */
async function databaseIn({ cacheDir }: TrivyOptions): Promise<z.infer<typeof metadataSchema> | undefined> {
  const path = join(cacheDir, 'db', 'metadata.json');
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const metadata = metadataSchema.safeParse(JSON.parse(text));
  if (metadata.success) return metadata.data;
  throw new Error(`${path} is not what Trivy writes: ${z.prettifyError(metadata.error)}; remove ${join(cacheDir, 'db')}`);
}

const serverSchema = z.object({ VulnerabilityDB: z.object({ UpdatedAt: z.string() }).nullish() });

async function databaseOfServer(server: string, signal: AbortSignal): Promise<string | undefined> {
  const answer = await fetch(new URL('/version', server), { signal });
  if (!answer.ok) throw new Error(`the Trivy server ${server} answered /version with ${answer.status}, expected 200`);
  return serverSchema.parse(await answer.json()).VulnerabilityDB?.UpdatedAt;
}
