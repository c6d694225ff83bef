/** Requests that are nearly right, made from right ones: by their structure, by their bytes, by their headers. The same seed always makes the same. */

export type Random = () => number;

/** mulberry32: small, seeded, good enough to choose mutations by. @see https://gist.github.com/tommyettinger/46a874533244883189143505d203312c */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

export function pick<Item>(random: Random, items: readonly Item[]): Item {
  const item = items[below(random, items.length)];
  if (item === undefined && items.length === 0) throw new Error('expected something to pick from');
  return item as Item;
}

/** Values that parsers and stores have stumbled over. */
const awkward: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  2 ** 53,
  '',
  ' ',
  '\u0000',
  '\n',
  '../../etc/passwd',
  'é'.repeat(300),
  'a'.repeat(100_000),
  '\u202Eevil',
  '\uD800',
  '{{constructor}}',
  '<script>',
  "' OR 1=1 --",
  'sha256:',
  `sha256:${'0'.repeat(64)}`,
  `sha256:${'G'.repeat(64)}`,
  'latest',
  'UPPER/Case',
  'https://',
  'https://user:pass@host:99999/a?b#c',
  'ghcr.io/a/b:c@sha256:d',
  '[::1]:5000/a/b',
  '%00%2e%2e',
  [],
  {},
  [[[[]]]],
  [null],
  [{}],
  { __proto__: null },
  Array.from({ length: 200 }, (_, index) => index),
  { tag: 'v1', name: 'x', repository: 'y' },
];

/** JSON text of a body in which one to four places are not what they were. */
export function mutatedJson(random: Random, body: unknown): string {
  let value = body;
  for (let count = 1 + below(random, 4); count > 0; count -= 1) value = mutatedValue(random, value);
  const text = JSON.stringify(value) ?? 'null';
  // What JSON.stringify cannot write: keys twice, and keys of prototypes.
  if (random() < 0.05)
    return text.replace(
      '{',
      `{"${pick(random, ['__proto__', 'constructor', 'toString', 'tag', 'image', 'tags'])}":${JSON.stringify(pick(random, awkward))},`,
    );
  return text;
}

function mutatedValue(random: Random, value: unknown): unknown {
  const isInner = typeof value === 'object' && value !== null && Object.keys(value).length > 0;
  if (!isInner || random() < 0.08) return replaced(random, value);
  if (Array.isArray(value)) {
    const at = below(random, value.length);
    if (random() < 0.1) return [...value, ...value];
    if (random() < 0.1) return value.filter((_, index) => index !== at);
    return value.map((item: unknown, index) => (index === at ? mutatedValue(random, item) : item));
  }
  const entries = Object.entries(value);
  const at = below(random, entries.length);
  const chance = random();
  if (chance < 0.12) return Object.fromEntries(entries.filter((_, index) => index !== at));
  return Object.fromEntries(
    entries.map(([key, item], index) => {
      if (index !== at) return [key, item];
      if (chance < 0.18) return [pick(random, [key.toUpperCase(), `${key}s`, '', '__proto__', `${key} `]), item];
      return [key, mutatedValue(random, item)];
    }),
  );
}

function replaced(random: Random, value: unknown): unknown {
  if (typeof value !== 'string' || random() < 0.5) return pick(random, awkward);
  const at = below(random, value.length + 1);
  const chance = random();
  if (chance < 0.3) return value.slice(0, at);
  if (chance < 0.5) return value.toUpperCase();
  if (chance < 0.7)
    return `${value.slice(0, at)}${pick(random, ['/', ':', '@', '%', ' ', '\n', '\u0000', '.', '..', '//', '🚢'])}${value.slice(at)}`;
  if (chance < 0.85) return `${value}${value}`;
  return [value];
}

/** Bytes that are no longer what they were: cut, flipped, doubled, deeply nested, no UTF-8. */
export function mutatedBytes(random: Random, text: string): Buffer {
  const bytes = Buffer.from(text);
  const at = below(random, bytes.length + 1);
  const chance = random();
  if (chance < 0.25) return bytes.subarray(0, at);
  if (chance < 0.5) {
    const flipped = Buffer.from(bytes);
    for (let count = 1 + below(random, 5); count > 0 && flipped.length > 0; count -= 1) {
      const index = below(random, flipped.length);
      flipped[index] = (flipped[index] ?? 0) ^ (1 << below(random, 8));
    }
    return flipped;
  }
  if (chance < 0.6) return Buffer.concat([bytes, bytes]);
  if (chance < 0.7)
    return Buffer.concat([bytes.subarray(0, at), Buffer.from([0xff, 0xfe, 0x00, 0xc0, 0x80]), bytes.subarray(at)]);
  if (chance < 0.8) return Buffer.from(pick(random, ['[', '{"a":', '"', '\ufeff{}']).repeat(1 + below(random, 200)));
  if (chance < 0.9)
    return Buffer.from(pick(random, ['', ' ', 'null', '0', '"text"', '[]', '{}', '1e999', '-', 'NaN', '{"a":1}}']));
  return Buffer.from(`${text.slice(0, at)}${'9'.repeat(1 + below(random, 400))}${text.slice(at)}`);
}

/** One header left out, emptied, doubled in length or replaced; HTTP itself stays right. */
export function mutatedHeaders(random: Random, headers: Readonly<Record<string, string>>): Record<string, string> {
  const names = Object.keys(headers);
  if (names.length === 0) return { ...headers };
  const name = pick(random, names);
  const { [name]: value = '', ...others } = headers;
  const chance = random();
  if (chance < 0.3) return others;
  if (chance < 0.4) return { ...others, [name]: '' };
  if (chance < 0.6) return { ...others, [name]: value.slice(0, below(random, value.length + 1)) };
  if (chance < 0.7) return { ...others, [name]: `${value}${value}` };
  if (chance < 0.8) return { ...others, [name]: 'x'.repeat(below(random, 6_000)) };
  const strange = ['application/xml', 'application/json; charset=utf-16', 'null', '*', '\t', 'é', 'Bearer', 'sha256=', '{}', ','];
  return { ...others, [name]: pick(random, strange) };
}
