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
 * What the container gets as environment: the file's variables, and over them the configured ones with their secrets resolved.
 * @param baseDir what `envFile` is relative to
 * @throws Refusal `FileNotFound`, `SmokeFailed` for a line that is no variable, or what `resolveSecret` throws
 */
export async function readEnvironment(
  smoke: { readonly env: Readonly<Record<string, string>>; readonly envFile?: string },
  baseDir: string,
  resolveSecret: (value: string) => string,
): Promise<ContainerEnvironment> {
  const fromFile =
    smoke.envFile === undefined ? {} : parseEnvironmentFile(await readEnvironmentFile(baseDir, smoke.envFile), smoke.envFile);
  const configured = Object.entries(smoke.env).map(([name, value]) => ({ name, value, resolved: resolveSecret(value) }));
  return {
    variables: { ...fromFile, ...Object.fromEntries(configured.map(({ name, resolved }) => [name, resolved])) },
    secrets: [
      ...configured.filter(({ value, resolved }) => value !== resolved).map(({ resolved }) => resolved),
      ...Object.entries(fromFile).flatMap(([name, value]) => (holdsSecret(name) ? [value] : [])),
    ],
  };
}

/**
 * Whether a variable is secret by its name. Neither a file nor a container says which of its values are secret; masking all of them would
 * make logs unreadable (`PORT=80`, `DEBUG=true`).
 */
export function holdsSecret(name: string): boolean {
  return /pass|pwd|secret|token|credential|private|_key$|apikey/i.test(name);
}

async function readEnvironmentFile(baseDir: string, path: string): Promise<string> {
  try {
    return await readFile(resolve(baseDir, path), 'utf8');
  } catch (error) {
    const code = String(codeOf(error) ?? error);
    throw new Refusal(
      'FileNotFound',
      `expected the file ${path} of smoke.envFile in ${baseDir} on the worker, which cannot be read (${code}): put it there, or correct the setting`,
      [],
      { cause: error },
    );
  }
}

/**
 * `NAME=VALUE` lines, comments and empty lines, with the quotes around a value taken off as Compose does. Nothing is interpolated.
 * @throws Refusal that names the line, never its content
 */
export function parseEnvironmentFile(text: string, path: string): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const [, name, value = ''] = /^\s*(?:export\s+)?([^\s=#]+)\s*=(.*)$/.exec(line) ?? [];
    if (name === undefined) {
      throw new Refusal('SmokeFailed', `expected NAME=VALUE in line ${index + 1} of ${path} (smoke.envFile): correct it`);
    }
    variables[name] = unquote(value.trim());
  }
  return variables;
}

function unquote(value: string): string {
  const [, , quoted] = /^(["'])(.*)\1$/.exec(value) ?? [];
  return quoted ?? value;
}
