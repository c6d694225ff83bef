import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';
import { type CredentialsSource, identityTokenUser, type RegistryCredentials } from './credentials.ts';

export interface DockerCredentialsOptions {
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
const mostHelperOutput = 1024 * 1024;

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
    throw new Refusal('CredentialsRefused', `Docker's ${path} cannot be read: ${error}; let Landfall's user read it`, [], {
      cause: error,
    });
  }
  const parsed = dockerConfig.safeParse(parseJson(text));
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
  if (entry === undefined) return undefined;
  if (entry.identitytoken) return { username: identityTokenUser, password: entry.identitytoken };
  if (!entry.auth) return entry.username && entry.password ? { username: entry.username, password: entry.password } : undefined;
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
  { env, helperTimeoutMs = 10_000 }: DockerCredentialsOptions,
): Promise<RegistryCredentials | undefined> {
  const command = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name)) throw helperRefusal(command, 'its name is expected to be letters, digits, _, . and -');
  const { exitCode, isLate, output } = await run(command, key, env, helperTimeoutMs);
  if (isLate) throw new Error(`${command} get for ${key} did not answer within ${helperTimeoutMs / 1_000} s`);
  if (exitCode !== 0 && output.trim() === notFoundMessage) return undefined;
  // What it prints is not shown: a helper that fails half-way may print secrets.
  if (exitCode !== 0) throw new Error(`${command} get for ${key} ended with exit code ${exitCode}`);
  const parsed = helperAnswer.safeParse(parseJson(output));
  if (!parsed.success) throw helperRefusal(command, `it did not answer with Username and Secret for ${key}`);
  const { Username: username, Secret: password } = parsed.data;
  return username === '' && password === '' ? undefined : { username, password };
}

async function run(
  command: string,
  input: string,
  env: Environment,
  timeoutMs: number,
): Promise<{ exitCode: number | null; isLate: boolean; output: string }> {
  const child = spawn(command, ['get'], {
    env: { ...env },
    stdio: ['pipe', 'pipe', 'ignore'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const closed = once(child, 'close');
  const chunks: Buffer[] = [];
  let size = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= mostHelperOutput) chunks.push(chunk);
  });
  // A program that the killed helper has started may hold the pipe open for as long as it likes.
  child.once('exit', (_exitCode, signal) => signal === 'SIGKILL' && child.stdout.destroy());
  // A helper that does not read its input breaks the pipe; its exit code and its answer tell enough.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  try {
    const [exitCode] = await closed;
    return { exitCode, isLate: child.signalCode === 'SIGKILL', output: Buffer.concat(chunks).toString('utf8') };
  } catch (error) {
    throw helperRefusal(command, `it cannot be started (${error instanceof Error ? error.message : error})`, { cause: error });
  }
}

function helperRefusal(command: string, problem: string, options?: ErrorOptions): Refusal {
  return new Refusal(
    'CredentialsRefused',
    `Docker's config.json names the credential helper ${command}, but ${problem}; ` +
      'install it where Landfall runs, or set username and password under registries in landfall.yaml',
    [],
    options,
  );
}

/** @returns undefined, which no schema here takes, for what is no JSON: the caller says so in words of its own */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
