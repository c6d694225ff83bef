import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Configuration } from '../config/configuration.ts';
import { Refusal } from '../domain/failures.ts';
import { madeOnce } from '../platform/files/made-once.ts';
import { shortestKey } from '../settings/seal-key.ts';
import type { SecretResolver } from '../settings/secrets.ts';

/** In the data folder, beside that of the embedded server: whoever talks to Temporal has that one, and must not be able to log in with it. */
const loginKeyFile = 'login.key';

export interface LoginKeys {
  /** 32 bytes that cookies are sealed with. */
  readonly cookies: Buffer;
  /** By which the API vouches for who has logged in: `sha256:HEX`, as the hash of a token. */
  readonly vouch: string;
}

/** Made from one key, as the configuration names it now. @throws Refusal `SecretMissing` where it is missing or short */
export function createLoginKeys(
  current: { readonly configuration: Pick<Configuration, 'login' | 'data'> },
  secrets: SecretResolver,
): () => Promise<LoginKeys> {
  // The folder is of the start, as all else is that is in it.
  const file = join(current.configuration.data, loginKeyFile);
  let made: string | undefined;
  return async () => {
    const { key: reference } = current.configuration.login;
    if (reference === undefined) made ??= await madeOnce(file, makeKey);
    const key = (reference === undefined ? (made ?? '') : secrets(reference)).trim();
    if (key.length < shortestKey) {
      const found = `found ${key.length}: openssl rand -hex 32 makes one`;
      throw new Refusal('SecretMissing', `expected at least ${shortestKey} characters in ${reference ?? file}, ${found}`);
    }
    const derived = (what: string) => createHmac('sha256', key).update(`landfall: ${what}`).digest();
    return { cookies: derived('cookies'), vouch: `sha256:${derived('who has logged in').toString('hex')}` };
  };
}

function makeKey(): string {
  return randomBytes(32).toString('hex');
}
