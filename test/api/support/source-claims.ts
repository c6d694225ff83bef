import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { requireMediaType } from '../../../src/http/body.ts';
import type { Receiver, SourceContext } from '../../../src/sources/kit/source.ts';
import { contextOf, imagesOf, isAuthentic, parseWith } from './receivers.ts';
import { type VectorSource, vectorsOf } from './vectors.ts';

/** Claims that every source has to live up to. */

/** Each recorded request is of a media type that is taken, and gives its images or is refused with its status. */
export function itTakesVectors(source: VectorSource, receiver: Receiver): void {
  for (const { name, headers, raw, images, status } of vectorsOf(source)) {
    it(`takes exactly the listed images from ${name}`, () => {
      const lowerCase = Object.fromEntries(Object.entries(headers).map(([header, value]) => [header.toLowerCase(), value]));
      requireMediaType(lowerCase, receiver);
      const parse = () => parseWith(receiver, JSON.parse(raw), { headers: lowerCase });
      if (status !== undefined) return assert.throws(parse, { name: 'Problem', status });
      const parsed = parse();
      assert.deepEqual(imagesOf(parsed), images);
      assert.equal(parsed.ignored === undefined, images.length > 0);
    });
  }
}

export interface Rotation {
  /** How the source is configured with these references. */
  open(secrets: readonly string[], context: SourceContext): readonly Receiver[];
  /** Headers that prove that a request with this body is the source's own. */
  prove(secret: string, body: string): Record<string, string>;
  /** Headers that prove nothing. */
  readonly worthless: readonly Record<string, string>[];
}

const body = '{"a":"request"}';

/** New and old secret verify while both are configured; a removed one, a wrong one and none do not; without any it does not start. */
export function itRotatesItsSecret({ open, prove, worthless }: Rotation): void {
  const env = { NEW: 'secret-of-today', OLD: 'secret-of-yesterday' };
  const opened = (references: readonly string[], values: Record<string, string> = env): Receiver => {
    const [receiver] = open(references, contextOf(values));
    if (receiver === undefined) throw new Error('expected a receiver');
    return receiver;
  };
  const proven = (receiver: Receiver, secret: string, sent = body) =>
    isAuthentic(receiver, { headers: prove(secret, sent) }, body);

  it('takes the new secret and the old one while both are configured', async () => {
    const receiver = opened(['env:NEW', 'env:OLD?']);
    assert.equal(await proven(receiver, env.NEW), true);
    assert.equal(await proven(receiver, env.OLD), true);
  });

  it('refuses a secret that was removed, and one that never was', async () => {
    const receiver = opened(['env:NEW']);
    assert.equal(await proven(receiver, env.OLD), false);
    assert.equal(await proven(receiver, 'secret-of-nobody'), false);
    assert.equal(await proven(receiver, ''), false);
  });

  it('refuses requests that prove nothing', async () => {
    const receiver = opened(['env:NEW', 'env:OLD?']);
    for (const headers of [{}, ...worthless]) {
      assert.equal(await isAuthentic(receiver, { headers }, body), false, JSON.stringify(headers));
    }
  });

  it('does not start without a secret', () => {
    assert.throws(() => opened(['env:EMPTY?'], { EMPTY: '' }), /receivers\.\w+\.secrets: expected/);
  });
}

export function hmac(secret: string, signed: string, algorithm: 'sha256' | 'sha1' = 'sha256'): string {
  return createHmac(algorithm, secret).update(signed).digest('hex');
}

/** JSON values that no field expects. */
export const oddValues: readonly unknown[] = [
  null,
  0,
  -1.5,
  true,
  '',
  ' ',
  '\u0000',
  'é\u202e',
  [],
  [[]],
  {},
  { a: { b: [] } },
  'x'.repeat(70_000),
  `${'/'.repeat(100_000)}x`,
  '@:'.repeat(20_000),
];

/**
 * Puts odd values in place of every part of a body, one at a time, and takes each part away.
 * @returns each body with the path of what was changed
 */
export function oddBodies(whole: unknown): readonly { readonly path: string; readonly body: unknown }[] {
  const paths = pathsOf(whole);
  return paths.flatMap((path) =>
    [...oddValues, undefined].map((value, at) => ({ path: `${path.join('.')} #${at}`, body: replaced(whole, path, value) })),
  );
}

function pathsOf(value: unknown, at: readonly string[] = []): readonly (readonly string[])[] {
  const inside = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return [at, ...inside.flatMap(([key, inner]) => pathsOf(inner, [...at, key]))];
}

function replaced(value: unknown, [key, ...rest]: readonly string[], by: unknown): unknown {
  if (key === undefined) return by;
  if (Array.isArray(value)) return value.map((item, at) => (String(at) === key ? replaced(item, rest, by) : item));
  return { ...(value as object), [key]: replaced((value as Record<string, unknown>)[key], rest, by) };
}

/** Whatever a body holds, it is understood or refused with 400, soon, and the answer repeats nothing of it. */
export function itSurvivesOddBodies(
  receiver: Receiver,
  bodies: readonly { whole: unknown; headers?: Record<string, string> }[],
): void {
  it('understands or refuses odd bodies, at once, and repeats nothing of them', function () {
    this.timeout(30_000);
    for (const { whole, headers = {} } of bodies) {
      for (const { path, body: odd } of oddBodies(whole)) {
        const begun = performance.now();
        try {
          const parsed = parseWith(receiver, odd, { headers });
          assert.equal(parsed.ignored === undefined, parsed.pushes.length > 0, path);
          assert.ok(JSON.stringify(parsed).length < 5_000, path);
        } catch (error) {
          if (!(error instanceof Error) || error.name !== 'Problem') throw error;
          assert.doesNotMatch(error.message, /x{60}|\/{60}|(?:@:){60}|\u202e/, path);
        }
        assert.ok(performance.now() - begun < 3_000, `${path} took ${performance.now() - begun} ms`);
      }
    }
  });
}
