import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { codeOf, messageOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import { jsonIn } from '../../domain/json.ts';
import { runProgram } from '../processes/launcher.ts';

/** The user name `<token>`, as Docker has it, says that the password is an identity token, which the token server takes instead. */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/** The user name that marks an identity token. */
export const identityTokenUser = '<token>';

/** Finds the credentials for a registry's host (`ghcr.io`, `docker.io`, `localhost:5000`), or none: then we come anonymously. */
export type CredentialsSource = (host: string) => Promise<RegistryCredentials | undefined>;

/** Asks one source after the other, until one has credentials. */
export function firstCredentials(...sources: readonly CredentialsSource[]): CredentialsSource {
  return async (host) => {
    for (const source of sources) {
      const found = await source(host);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

interface DockerCredentialsOptions {
  /** The folder of Docker's `config.json`: `DOCKER_CONFIG`, else `.docker` in the home folder. */
  readonly folder: string;
  /** Environment of credential helpers; its `PATH` is where they are found. */
  readonly env: Environment;
  /** Longest time for a credential helper to answer; 10 s. */
  readonly helperTimeoutMs?: number;
}

/** Docker Hub's key in `config.json`, from the days of its first API. */
const dockerHubKey = 'https://index.docker.io/v1/';
const dockerHubHosts: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io'];
/** How the helper protocol says "none": exit code 1 and exactly this on the standard output (docker-credential-helpers). */
const notFoundMessage = 'credentials not found in native keychain';

const authEntry = z.object({
  auth: z.string().optional(),
  username: z.string().optional(),
  password: z.string().optional(),
  identitytoken: z.string().optional(),
});

const dockerConfig = z.object({
  auths: z.record(z.string(), authEntry).nullish(),
  credsStore: z.string().optional(),
  credHelpers: z.record(z.string(), z.string()).nullish(),
});

type DockerConfig = z.infer<typeof dockerConfig>;

const helperAnswer = z.object({ Username: z.string(), Secret: z.string() });

/**
 * The credentials that `docker login` keeps: in `config.json`, or in the credential helper that it names. The file is read at each
 * call, so that a new login counts at once.
 * @throws Refusal `CredentialsRefused` if the file or the helper cannot be used as it is
 */
export function createDockerCredentials(options: DockerCredentialsOptions): CredentialsSource {
  return async (host) => {
    const config = await readConfig(join(options.folder, 'config.json'));
    if (config === undefined) return undefined;
    const helper = helperFor(config, host);
    const fromHelper = helper === undefined ? undefined : await askHelper(helper, keyOf(host), options);
    return fromHelper ?? storedCredentials(config, host);
  };
}

async function readConfig(path: string): Promise<DockerConfig | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    const message = `Docker's ${path} cannot be read: ${error}; let Landfall's user read it`;
    throw new Refusal('CredentialsRefused', message, [], { cause: error });
  }
  const parsed = dockerConfig.safeParse(jsonIn(text));
  if (parsed.success) return parsed.data;
  // Without the parser's own words, which quote the file: it holds passwords.
  throw new Refusal(
    'CredentialsRefused',
    `Docker's ${path} is not of the expected form (an object with auths, credsStore, credHelpers); mend it, or run docker login again`,
  );
}

function keyOf(host: string): string {
  return dockerHubHosts.includes(host) ? dockerHubKey : host;
}

/** A host's own helper comes before the one for all. */
function helperFor(config: DockerConfig, host: string): string | undefined {
  const key = Object.keys(config.credHelpers ?? {}).find((candidate) => isKeyOf(candidate, host));
  return key === undefined ? config.credsStore || undefined : config.credHelpers?.[key];
}

/** Keys are hosts, or URLs as old logins wrote them: `https://ghcr.io/v1/`. */
function isKeyOf(key: string, host: string): boolean {
  const keyHost = key.replace(/^https?:\/\//, '').split('/')[0] ?? '';
  return dockerHubHosts.includes(host) ? dockerHubHosts.includes(keyHost) : keyHost === host;
}

function storedCredentials(config: DockerConfig, host: string): RegistryCredentials | undefined {
  const auths = config.auths ?? {};
  const key = keyOf(host) in auths ? keyOf(host) : Object.keys(auths).find((candidate) => isKeyOf(candidate, host));
  const entry = key === undefined ? undefined : auths[key];
  if (entry?.identitytoken) return { username: identityTokenUser, password: entry.identitytoken };
  if (!entry?.auth) return entry?.username && entry.password ? { username: entry.username, password: entry.password } : undefined;
  const decoded = Buffer.from(entry.auth, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 1) return undefined;
  // Docker itself strips the zero bytes that early versions wrote at the end.
  return { username: decoded.slice(0, colon), password: decoded.slice(colon + 1).replace(/\0+$/, '') };
}

/** The protocol of https://github.com/docker/docker-credential-helpers: `get`, with the host on the standard input. */
async function askHelper(
  name: string,
  key: string,
  { env: environment, helperTimeoutMs: timeoutMs = 10_000 }: DockerCredentialsOptions,
): Promise<RegistryCredentials | undefined> {
  const helper = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name)) throw helperRefusal(helper, 'its name is expected to be letters, digits, _, . and -');
  const asked = runProgram({ command: [helper, 'get'], environment, input: key, timeoutMs });
  const { code, killedBy, endedBy, stdout } = await asked.catch((error: unknown) => {
    throw helperRefusal(helper, `it cannot be started (${messageOf(error)})`, { cause: error });
  });
  if (endedBy === 'time-out') throw new Error(`${helper} get for ${key} did not answer within ${timeoutMs / 1_000} s`);
  if (code !== 0 && stdout.trim() === notFoundMessage) return undefined;
  // What it prints is not shown: a helper that fails half-way may print secrets.
  if (code !== 0) throw new Error(`${helper} get for ${key} ended with exit code ${code ?? killedBy}`);
  const parsed = helperAnswer.safeParse(jsonIn(stdout));
  if (!parsed.success) throw helperRefusal(helper, `it did not answer with Username and Secret for ${key}`);
  const { Username: username, Secret: password } = parsed.data;
  return username === '' && password === '' ? undefined : { username, password };
}

function helperRefusal(helper: string, problem: string, options?: ErrorOptions): Refusal {
  return new Refusal(
    'CredentialsRefused',
    `Docker's config.json names the credential helper ${helper}, but ${problem}; ` +
      'install it where Landfall runs, or set username and password under registries in landfall.yaml',
    [],
    options,
  );
}
