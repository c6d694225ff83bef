import { createHash, createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

export type HmacAlgorithm = 'sha256' | 'sha1';

const hexDigits = { sha256: 64, sha1: 40 } as const;

/**
 * Whether the signature is the HMAC (in hex) of the body under one of the secrets. All of them are tried whatever comes out, so the
 * time taken tells nothing about which one it was.
 */
export function signedByOneOf(
  secrets: readonly string[],
  body: Buffer,
  signature: string,
  algorithm: HmacAlgorithm = 'sha256',
): boolean {
  if (signature.length !== hexDigits[algorithm] || !/^[0-9a-f]+$/i.test(signature)) return false;
  const given = Buffer.from(signature, 'hex');
  const verdicts = secrets.map((secret) => timingSafeEqual(createHmac(algorithm, keyOf(secret)).update(body).digest(), given));
  return verdicts.includes(true);
}

const keys = new Map<string, KeyObject>();
/** Secrets in files may be rotated for years. */
const mostKeys = 100;

/** Making a key costs as much as hashing a small body. */
function keyOf(secret: string): KeyObject {
  const known = keys.get(secret);
  if (known !== undefined) return known;
  if (keys.size >= mostKeys) keys.clear();
  const key = createSecretKey(Buffer.from(secret));
  keys.set(secret, key);
  return key;
}

/** Whether the token is one of the secrets. Digests are compared, so not even the length of a secret shows in the time taken. */
export function isAcceptedToken(secrets: readonly string[], token: string): boolean {
  const given = sha256(token);
  const verdicts = secrets.map((secret) => timingSafeEqual(sha256(secret), given));
  return verdicts.includes(true);
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Reads the secrets of a receiver, once a request: a file may have been given a new one meanwhile. */
export type ReadSecrets = () => readonly string[];

/**
 * @param setting where the secrets are configured, for the message
 * @returns `read`, which now throws Error if there is none, or an empty one: nothing must ever be verified by an empty key
 * @throws the same, at once: a receiver that anybody could use must not start
 */
export function requireSecrets(read: ReadSecrets, setting: string): ReadSecrets {
  const readChecked = () => {
    const secrets = read();
    if (secrets.length > 0 && secrets.every((secret) => secret.trim() !== '')) return secrets;
    throw new Error(`${setting}: expected at least one secret and none that is empty; set it, or remove the receiver`);
  };
  readChecked();
  return readChecked;
}
