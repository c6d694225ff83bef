import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { codeOf } from '../../domain/errors.ts';
import { Refusal } from '../../domain/failures.ts';

export interface ContainerEnvironment {
  readonly variables: Readonly<Record<string, string>>;
  /** Values that no log line may show. */
  readonly secrets: readonly string[];
}

/**
 * What the container gets: the variables of `envFile` (relative to `baseDir`), and over them the configured ones with their secrets resolved.
 * @throws Refusal `FileNotFound`, `SmokeFailed` for a line that is no variable, or what `resolveSecret` throws
 */
export async function readEnvironment(
  smoke: { readonly env: Readonly<Record<string, string>>; readonly envFile?: string },
  baseDir: string,
  resolveSecret: (value: string) => string,
): Promise<ContainerEnvironment> {
  const { envFile } = smoke;
  const fromFile = envFile === undefined ? {} : parseEnvironmentFile(await readEnvironmentFile(baseDir, envFile), envFile);
  const configured = Object.entries(smoke.env).map(([name, value]) => ({ name, value, resolved: resolveSecret(value) }));
  return {
    variables: { ...fromFile, ...Object.fromEntries(configured.map(({ name, resolved }) => [name, resolved])) },
    secrets: [
      ...configured.filter(({ value, resolved }) => value !== resolved).map(({ resolved }) => resolved),
      ...Object.entries(fromFile).flatMap(([name, value]) => (holdsSecret(name) ? [value] : [])),
    ],
  };
}

/** Whether a variable is secret by its name: nothing else says so, and with all values masked (`PORT=80`) no log could be read. */
export function holdsSecret(name: string): boolean {
  return /pass|pwd|secret|token|credential|private|_key$|apikey/i.test(name);
}

async function readEnvironmentFile(baseDir: string, path: string): Promise<string> {
  return await readFile(resolve(baseDir, path), 'utf8').catch((error: unknown) => {
    const message = `expected the file ${path} of smoke.envFile in ${baseDir} on the worker, which cannot be read (${codeOf(error) ?? error}): put it there, or correct the setting`;
    throw new Refusal('FileNotFound', message, [], { cause: error });
  });
}

/** `NAME=VALUE` lines, quotes taken off as Compose does, nothing interpolated. @throws Refusal that names the line, never its content */
export function parseEnvironmentFile(text: string, path: string): Record<string, string> {
  const variables: Record<string, string> = {};
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (const [index, line] of lines.entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name, value = ''] = /^\s*(?:export\s+)?([^\s=#]+)\s*=(.*)$/.exec(line) ?? [];
    if (name === undefined) {
      throw new Refusal('SmokeFailed', `expected NAME=VALUE in line ${index + 1} of ${path} (smoke.envFile): correct it`);
    }
    const [, , quoted] = /^(["'])(.*)\1$/.exec(value.trim()) ?? [];
    variables[name] = quoted ?? value.trim();
  }
  return variables;
}

/** Shorter values would mask half of a log. */
const shortestSecret = 4;

/** @param environment `NAME=VALUE`: values of names that tell a secret, and passwords in URLs */
export function secretsIn(environment: readonly string[]): string[] {
  const secrets = environment.flatMap((entry) => {
    const [name = ''] = entry.split('=', 1);
    const value = entry.slice(name.length + 1);
    const [, password] = /^[a-z][a-z0-9+.-]*:\/\/[^/@:]*:([^@/]+)@/i.exec(value) ?? [];
    return [...(holdsSecret(name) ? [value] : []), ...(password === undefined ? [] : [password])];
  });
  return secrets.filter((secret) => secret.length >= shortestSecret);
}
