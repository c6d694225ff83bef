import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import { Refusal } from '../domain/failures.ts';

/** Turns a reference into its secret; plain text stays what it is. A missing optional secret is the empty text. */
export type SecretResolver = (value: string) => string;

/**
 * Secrets stay out of the configuration and of workflow histories: `env:NAME` and `file:PATH` stand for them, and code that needs one
 * asks for it at that moment. A `?` at the end says that it may be missing.
 */
const reference = /^(?:env:([A-Za-z_]\w*)|file:([^\0]+?))(\?)?$/;

/** Undefined for text that is no reference. */
export function parseSecretReference(text: string) {
  const [, name, path, mark] = reference.exec(text) ?? [];
  const optional = mark !== undefined;
  if (name !== undefined) return { kind: 'env' as const, name, optional };
  return path === undefined ? undefined : { kind: 'file' as const, path, optional };
}

/**
 * A file is read at each call, so code that asks at each use (everything but the connection to Temporal) needs no restart after a
 * `file:` secret was rotated. The variables of a running process do not change.
 * @param baseDir what relative paths are relative to: the folder of the configuration file
 * @param observe is told of every secret that is found, with its reference, before anybody can use it: for the mask of the log
 * @throws Refusal `SecretMissing`, from the returned function; the message names the reference, never the secret
 */
export function createSecretResolver(
  env: Environment,
  baseDir: string,
  observe: (secret: string, reference: string) => void = () => undefined,
): SecretResolver {
  return (value) => {
    const reference = parseSecretReference(value);
    if (reference === undefined) return value;
    const found = reference.kind === 'env' ? readVariable(env, reference.name) : readSecretFile(resolve(baseDir, reference.path));
    if ('secret' in found) {
      observe(found.secret, value);
      return found.secret;
    }
    if (reference.optional && found.absent) return '';
    throw new Refusal('SecretMissing', found.problem);
  };
}

/** The secrets of a list that exist: what is optional and missing is left out, so that nothing is ever verified by an empty key. */
export function presentSecrets(resolveSecret: SecretResolver, values: readonly string[]): string[] {
  return values.map(resolveSecret).filter((secret) => secret !== '');
}

type SecretLookup = { readonly secret: string } | { readonly absent: boolean; readonly problem: string };

function readVariable(env: Environment, name: string): SecretLookup {
  const secret = env[name];
  if (secret !== undefined && secret !== '') return { secret };
  const state = secret === undefined ? 'not set' : 'empty';
  return { absent: true, problem: `expected a secret in the environment variable ${name}, which is ${state}: set it` };
}

function readSecretFile(path: string): SecretLookup {
  try {
    // Editors and `echo` end a file with a line break that is no part of the secret.
    const secret = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    return secret !== '' ? { secret } : { absent: true, problem: `expected a secret in the file ${path}, which is empty` };
  } catch (error) {
    const code = String(codeOf(error) ?? error);
    return { absent: code === 'ENOENT', problem: `expected a secret in the file ${path}, which cannot be read (${code})` };
  }
}
