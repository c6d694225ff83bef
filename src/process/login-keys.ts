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

/** Made from one key, which is read when it is first needed. @throws Refusal `SecretMissing` where it is missing or short */
export function createLoginKeys(
  { login, data }: Pick<Configuration, 'login' | 'data'>,
  secrets: SecretResolver,
): () => Promise<LoginKeys> {
  let keys: Promise<LoginKeys> | undefined;
  const read = async (): Promise<LoginKeys> => {
    const key = login.key === undefined ? await madeOnce(join(data, loginKeyFile), makeKey) : secrets(login.key);
    if (key.trim().length < shortestKey) {
      const found = `found ${key.trim().length}: openssl rand -hex 32 makes one`;
      const message = `expected at least ${shortestKey} characters in ${login.key ?? join(data, loginKeyFile)}, ${found}`;
      throw new Refusal('SecretMissing', message);
    }
    const derived = (what: string) => createHmac('sha256', key.trim()).update(`landfall: ${what}`).digest();
    return { cookies: derived('cookies'), vouch: `sha256:${derived('who has logged in').toString('hex')}` };
  };
  return async () => {
    keys ??= read();
    try {
      return await keys;
    } catch (error) {
      keys = undefined;
      throw error;
    }
  };
}

function makeKey(): string {
  return randomBytes(32).toString('hex');
}
