import { createHash, createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChainHash } from '../domain/decision-chain.ts';
import type { Environment } from '../domain/environment.ts';
import { codeOf } from '../domain/errors.ts';
import type { Configuration } from './configuration.ts';

/** Where Landfall's own key is, if it has one; several, with spaces or line breaks between them, where it is being changed. */
const keyFile = 'landfall.key';
/** In characters: what is shorter is no key. */
const shortestKey = 32;

/**
 * The hashes by which the log of decisions hangs together: the first one makes it, each of them is taken. Keyed where Landfall's key is at
 * hand, so it is asked for at each call: an embedded Temporal server has it from its first start on.
 */
export function chainHashes({ data }: Pick<Configuration, 'data'>, env: Environment): readonly [ChainHash, ...ChainHash[]] {
  const keyed = keysAtHand(data, env).map((key): ChainHash => {
    // A key of its own, so that nothing else that is made with the same one can be put in here.
    const own = createHmac('sha256', key).update('landfall: log of decisions').digest();
    return { name: 'hmac-sha256', of: (text) => createHmac('sha256', own).update(text).digest('hex') };
  });
  const plain: ChainHash = { name: 'sha256', of: (text) => createHash('sha256').update(text).digest('hex') };
  const [first, ...others] = keyed;
  return first === undefined ? [plain] : [first, ...others, plain];
}

function keysAtHand(data: string, env: Environment): readonly string[] {
  const text = env.LANDFALL_KEY || textIfThere(join(data, keyFile));
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
