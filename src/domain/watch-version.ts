import type { Digest } from './image-reference.ts';
import type { HttpProbePlan } from './plan.ts';

/** The image that has to be proven to run. */
export interface ExpectedImage {
  readonly digest: Digest;
  readonly tag?: string;
  readonly revision?: string;
  /** What the base branch of the deployment repository got by the merge. */
  readonly commit?: string;
}

type Equals = NonNullable<HttpProbePlan['version']>['equals'];

/** What the answer has to say; undefined if that is not known of the expected image. */
export function expectedVersion(equals: Equals, expected: ExpectedImage): string | undefined {
  return equals === 'digest' ? expected.digest : expected[equals];
}

/**
 * Whether an answer names the expected version. A whole image reference is as good as its tag or digest, a digest may lack its
 * `sha256:`, and a revision may be shortened to 7 digits and more.
 */
export function isVersion(equals: Equals, found: string, expected: string): boolean {
  if (found === expected) return true;
  if (equals === 'digest') return found.endsWith(`@${expected}`) || `sha256:${found}` === expected;
  if (equals === 'tag') return (found.split('@')[0] ?? '').endsWith(`:${expected}`);
  return /^[0-9a-f]{7,}$/i.test(found) && expected.toLowerCase().startsWith(found.toLowerCase());
}

/** The value that an RFC 6901 pointer leads to, as text; undefined if there is none, or no text, number or boolean. */
export function valueAt(document: unknown, pointer: string): string | undefined {
  if (pointer !== '' && !pointer.startsWith('/')) return undefined;
  let value = document;
  for (const token of pointer.split('/').slice(1)) {
    const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    if (Array.isArray(value) && !/^(0|[1-9]\d*)$/.test(key)) return undefined;
    value = Reflect.get(value, key);
  }
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : undefined;
}
