// Runs on a core of its own: each of its bodies has 200 ms of the processor, which a busy machine stretches.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { type Authority, createAuthority } from '../support/certificates.ts';
import { assertWithin, longestPause } from '../support/processor-time.ts';
import { type Ingress, startIngress } from './support/ingress.ts';
import { createSeeds, otherReceivers, type Seed } from './support/seeds.ts';
import { type Senders, startSenders } from './support/senders.ts';

const longestPauseMs = 200;
/** As many bytes as a body may have, less than what is around what is blown up. */
const length = 1024 * 1024 - 20_000;

/** A body with each of its parts made as large as it can be. */
type Blowing = (body: unknown, share: number) => unknown;

const filled = (item: (given: unknown) => unknown): Blowing => {
  const fill: Blowing = (value, share) => {
    if (!Array.isArray(value)) return mapped(value, (each) => fill(each, share));
    const one = item(value[0] ?? {});
    return Array<unknown>(Math.max(1, Math.floor(share / (JSON.stringify(one).length + 1)))).fill(one);
  };
  return fill;
};
const written = (unit: string): Blowing => {
  const write: Blowing = (value, share) =>
    typeof value === 'string'
      ? value + unit.repeat(Math.floor(share / unit.length))
      : mapped(value, (each) => write(each, share));
  return write;
};
const widened: Blowing = (value, share) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return mapped(value, (each) => widened(each, share));
  const more = Array.from({ length: Math.floor(share / 14) }, (_, at) => [`key${at}`, 1]);
  return { ...mapped(value, (each) => widened(each, share)), ...Object.fromEntries(more) };
};

const blowings: Readonly<Record<string, Blowing>> = {
  'a list of it': (body) => Array<unknown>(Math.floor(length / (JSON.stringify(body).length + 1))).fill(body),
  'a list of nothing': () => Array<unknown>(Math.floor(length / 5)).fill(null),
  'many of what a list has': filled((given) => given),
  'a list of empty objects': filled(() => ({})),
  'a list of numbers': filled(() => 1),
  'a list of lists': filled(() => []),
  'a list of texts': filled(() => ''),
  'many more keys': widened,
  ...Object.fromEntries(
    ['a', '/', ':', '@', ' ', '\\', 'a-', '://', '\r', '%2F', 'https://a/'].map((unit) => [`texts of '${unit}'`, written(unit)]),
  ),
};

function mapped(value: unknown, each: (value: unknown) => unknown): object {
  if (Array.isArray(value)) return value.map(each);
  if (typeof value !== 'object' || value === null) return value as never;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, each(inner)]));
}

/** How many of its parts a blowing makes larger: they share the length of a body. */
function partsOf(value: unknown, isPart: (value: unknown) => boolean): number {
  const inner = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return Number(isPart(value)) + inner.reduce<number>((sum, each) => sum + partsOf(each, isPart), 0);
}

function bodyOf(body: unknown, what: string, blow: Blowing): string {
  const isPart = (value: unknown): boolean => {
    if (what.startsWith('texts')) return typeof value === 'string';
    if (what.includes('list')) return Array.isArray(value);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  };
  // Lists in lists multiply, and escapes make texts longer: whatever does not fit is tried smaller.
  for (let share = length / Math.max(1, partsOf(body, isPart)); ; share /= 2) {
    const text = JSON.stringify(blow(body, share));
    if (text.length <= length || share < 10) return text;
  }
}

describe('a request as large as it may be', function () {
  this.timeout(120_000);
  let senders: Senders;
  let authority: Authority;
  let ingress: Ingress;
  let seeds: readonly Seed[];
  before(async () => {
    senders = await startSenders();
    authority = await createAuthority();
    const { quay, github } = senders.settings();
    ingress = await startIngress({
      receivers: {
        ...senders.settings(),
        ...otherReceivers,
        ...(quay && { quay: { ...quay, certificate: { ca: authority.ca } } }),
        ...(github && { github: { ...github, workflows: [{ name: 'build' }] } }),
      },
      env: senders.env,
      trustedProxies: ['127.0.0.1'],
    });
    const { cert } = await authority.issue({ name: 'build.quay.io', commonName: '*.quay.io' });
    const all = createSeeds(senders, senders.env.SENDER_NEW ?? '', `:${new X509Certificate(cert).raw.toString('base64')}:`);
    // Of each source the longest is enough: the others differ in what they say.
    const shortestFirst = all.filter(({ body }) => body !== undefined).sort((a, b) => a.raw.length - b.raw.length);
    seeds = [...new Map(shortestFirst.map((seed) => [seed.name.split('/')[0], seed])).values()];
  });
  after(async () => {
    await ingress.listeners.stop();
    await senders.stop();
    await rm(authority.folder, { recursive: true });
  });

  for (const [what, blow] of Object.entries(blowings)) {
    it(`does not hold up the event loop: ${what}`, async () => {
      for (const { name, body, headers, query, authenticate } of seeds) {
        const raw = Buffer.from(bodyOf(body, what, blow));
        const { path, headers: proof } = await authenticate(raw);
        let status = 0;
        const pause = await longestPause(async () => {
          const answer = await ingress.post(`${path}?${new URLSearchParams(query)}`, raw, { ...headers, ...proof });
          status = answer.status;
          await answer.text();
        });
        assert.ok([200, 202, 400, 401].includes(status), `${name}: ${status}`);
        assertWithin(longestPauseMs, pause, `${name}, ${what} (${raw.length} bytes)`);
      }
    });
  }

  it('is read no more slowly for its headers, whatever is written into them', async () => {
    const [seed] = seeds;
    assert.ok(seed !== undefined);
    const raw = Buffer.from(seed.raw);
    const { path, headers: proof } = await seed.authenticate(raw);
    const names = [
      'Content-Type',
      'Authorization',
      'Client-Cert',
      'Client-Cert-Chain',
      'X-Forwarded-For',
      'Forwarded',
      'X-Hub-Signature-256',
    ].concat(['X-GitHub-Event', 'X-Harbor-Event', 'ce-type', 'ce-source', 'ce-subject', 'User-Agent', 'X-Request-Id']);
    const units = [
      'a',
      ' ',
      ',',
      ';',
      '"',
      '\\',
      '=',
      ':',
      '/',
      '.',
      '%41',
      ':AA==:,',
      'for=a;',
      'for="[::1]",',
      '1.1.1.1,',
      'Bearer ',
      'a.',
    ];
    for (const name of names) {
      for (const unit of units) {
        const value = `Bearer${unit.repeat(Math.floor(14_000 / unit.length))}x`;
        const pause = await longestPause(async () => {
          const answer = await ingress.post(path, raw, { ...seed.headers, ...proof, [name]: value });
          await answer.text();
          assert.ok(answer.status < 500, `${name} of '${unit}': ${answer.status}`);
        });
        assertWithin(longestPauseMs, pause, `${name} of '${unit}'`);
      }
    }
  });
});
