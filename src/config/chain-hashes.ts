import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainHash } from '../domain/decision-chain.ts';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import { keyFile, shortestKey } from '../settings/seal-key.ts';
import { createSecretResolver } from '../settings/secrets.ts';
import type { Configuration } from './configuration.ts';

/** Where Landfall's own key may be. */
type KeySettings = Pick<Configuration, 'data'> & Partial<Pick<Configuration, 'directory' | 'temporal'>>;

/**
 * The hashes by which the log of decisions hangs together: the first one makes it, each of them is taken. Keyed where Landfall's key is at
 * hand, so it is asked for at each call: an embedded Temporal server has it from its first start on.
 */
export function chainHashes(configuration: KeySettings, env: Environment): readonly [ChainHash, ...ChainHash[]] {
  const keyed = keysAtHand(configuration, env).map((key): ChainHash => {
    // A key of its own, so that nothing else that is made with the same one can be put in here.
    const own = createHmac('sha256', key).update('landfall: log of decisions').digest();
    return { name: 'hmac-sha256', of: (text) => createHmac('sha256', own).update(text).digest('hex') };
  });
  const plain: ChainHash = { name: 'sha256', of: (text) => createHash('sha256').update(text).digest('hex') };
  const [first, ...others] = keyed;
  return first === undefined ? [plain] : [first, ...others, plain];
}

/** Several, with spaces or line breaks between them, where the key is being changed. */
function keysAtHand({ data, directory, temporal }: KeySettings, env: Environment): readonly string[] {
  const reference = temporal?.kind === 'cluster' ? temporal.key : undefined;
  const ofCluster = reference === undefined ? '' : createSecretResolver(env, directory ?? '')(reference);
  const text = env.LANDFALL_KEY || ofCluster || textIfThere(join(data, keyFile));
  return text.split(/\s+/).filter((word) => word.length >= shortestKey);
}

/** A key that may not be read here is none. */
function textIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'EACCES', 'ENOTDIR'].includes(String(codeOf(error)))) return '';
    throw error;
  }
}
