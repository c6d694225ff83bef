import { Refusal } from '../domain/failures.ts';

/** The key of an embedded Temporal server, in the data folder. */
export const keyFile = 'landfall.key';

/** A key is as long as this, in characters: 16 bytes would do, and `openssl rand -hex 32` makes twice as many. */
export const shortestKey = 32;

const makeOne = "the first one is made with 'openssl rand -hex 32'";

/** What a setting or a file has for a key, in words: it is a secret. */
export function missingKey(where: string): Refusal {
  return new Refusal(
    'SecretMissing',
    `expected Landfall's key ${where}: it is the same in every process and command, and ${makeOne}`,
  );
}

/**
 * The keys in a text, with spaces or line breaks between them; the first one seals.
 * @param from where the text is from, for people
 * @throws Refusal `SecretMissing` where there is none, or one is short
 */
export function readKeys(text: string, from: string): readonly [string, ...string[]] {
  const [first, ...others] = text.split(/\s+/).filter((word) => word !== '');
  if (first === undefined) throw missingKey(`in ${from}, which is empty`);
  for (const key of [first, ...others]) {
    if (key.length >= shortestKey) continue;
    throw new Refusal(
      'SecretMissing',
      `expected keys of at least ${shortestKey} characters in ${from}, found one of ${key.length}: ${makeOne}`,
    );
  }
  return [first, ...others];
}

/** In the file of a data folder that an earlier Landfall has used: what it has from before that time was not sealed. */
const sinceLine = /^sealed since (\S+)$/m;

export function keyFileText(key: string, since?: Date): string {
  return `${key}\n${since === undefined ? '' : `sealed since ${since.toISOString()}\n`}`;
}

/** @throws Refusal `SecretMissing` */
export function readKeyFile(
  text: string,
  path: string,
): { readonly keys: readonly [string, ...string[]]; readonly since?: Date } {
  const keys = readKeys(text.replace(sinceLine, ''), path);
  const since = new Date(sinceLine.exec(text)?.[1] ?? '');
  return { keys, ...(!Number.isNaN(since.getTime()) && { since }) };
}
