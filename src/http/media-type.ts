import type { IncomingHttpHeaders } from 'node:http';
import { Problem } from './problem.ts';

/** The media types that a path takes, and what to do where another one comes. */
export interface ExpectedMediaType {
  readonly mediaTypes: readonly string[];
  /** Whatever begins with one of the media types is taken, with any parameters. */
  readonly byPrefix?: boolean;
  /** A sentence for the person who set the sender up. */
  readonly mediaTypeAdvice: string;
}

/**
 * Refuses what cannot be read as plain JSON bytes, from the headers alone.
 * @throws Problem 415
 */
export function requireMediaType(headers: IncomingHttpHeaders, expected: ExpectedMediaType): void {
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity') {
    throw unsupported('Expected a body without Content-Encoding. Send it uncompressed.', { 'Accept-Encoding': 'identity' });
  }
  if (expected.byPrefix) {
    const value = headers['content-type']?.toLowerCase() ?? '';
    if (expected.mediaTypes.some((type) => value.startsWith(type))) return;
  }
  const [type = '', ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='));
  if (!expected.mediaTypes.includes(type.trim())) {
    throw unsupported(
      `Expected the media type ${expected.mediaTypes.filter((type) => type !== '').join(' or ')}. ${expected.mediaTypeAdvice}`,
    );
  }
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw unsupported('Expected the charset utf-8, the only one of JSON.');
  }
}

function unsupported(detail: string, headers: Readonly<Record<string, string>> = {}): Problem {
  return new Problem(415, 'unsupported-media-type', detail, headers);
}
