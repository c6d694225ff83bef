import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** Cookies that nobody can read or make but who has the key, so that nothing has to be kept here for them. */

const algorithm = 'aes-256-gcm';
const [ivBytes, tagBytes] = [12, 16];
/** Browsers take 4096 for name, value and attributes. */
const longestValue = 3_800;

/** @param name is sealed with it: one cookie cannot stand in for another */
export function sealCookie(key: Buffer, name: string, value: unknown): string {
  const iv = randomBytes(ivBytes);
  const cipher = createCipheriv(algorithm, key, iv).setAAD(Buffer.from(name));
  const sealed = Buffer.concat([iv, cipher.update(JSON.stringify(value)), cipher.final(), cipher.getAuthTag()]);
  const text = sealed.toString('base64url');
  if (text.length > longestValue)
    throw new RangeError(`expected a cookie of at most ${longestValue} characters, found ${text.length}`);
  return text;
}

/** @returns undefined for what was not sealed with this key, under this name */
export function openCookie(key: Buffer, name: string, text: string): unknown {
  const sealed = Buffer.from(text, 'base64url');
  if (sealed.length < ivBytes + tagBytes) return undefined;
  const decipher = createDecipheriv(algorithm, key, sealed.subarray(0, ivBytes), { authTagLength: tagBytes })
    .setAAD(Buffer.from(name))
    .setAuthTag(sealed.subarray(-tagBytes));
  try {
    const opened = Buffer.concat([decipher.update(sealed.subarray(ivBytes, -tagBytes)), decipher.final()]);
    return JSON.parse(opened.toString()) as unknown;
  } catch {
    // Whatever is wrong with it, it is none of ours.
    return undefined;
  }
}

/** The value of one cookie of a request. Where it comes several times, somebody else has set one of them: none counts. */
export function cookieIn(header: string | undefined, name: string): string | undefined {
  const values = (header ?? '').split(';').flatMap((pair) => {
    const [key = '', ...value] = pair.trim().split('=');
    return key === name ? [value.join('=')] : [];
  });
  return values.length === 1 ? values[0] : undefined;
}
