import assert from 'node:assert/strict';
import fc from 'fast-check';
import { concurrently } from '../../../src/domain/concurrently.ts';
import { nextPage, parseChallenges, retryAfter } from '../../../src/platform/http/headers.ts';
import { ambiguousKey } from '../../../src/platform/registry/manifest.ts';
import { normalPlatform } from '../../../src/platform/registry/platform.ts';

describe('WWW-Authenticate', () => {
  it('is read as registries write it', () => {
    assert.deepEqual(
      parseChallenges(
        'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      ),
      [
        {
          scheme: 'bearer',
          parameters: { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' },
        },
      ],
    );
    assert.deepEqual(parseChallenges('BASIC realm="Registry \\"Realm\\""'), [
      { scheme: 'basic', parameters: { realm: 'Registry "Realm"' } },
    ]);
    assert.deepEqual(parseChallenges('Negotiate, Bearer realm=plain , error = "x", Basic'), [
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'bearer', parameters: { realm: 'plain', error: 'x' } },
      { scheme: 'basic', parameters: {} },
    ]);
  });

  it('gives back whatever challenges were written', () => {
    const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);
    const value = fc.string({ unit: fc.constantFrom(...'abc,= "\\:/'), maxLength: 12 });
    const parameters = fc.dictionary(token, value, { minKeys: 1, maxKeys: 4, noNullPrototype: true });
    const challenge = fc.record({ scheme: token, parameters }, { noNullPrototype: true });
    fc.assert(
      fc.property(fc.array(challenge, { minLength: 1, maxLength: 3 }), (challenges) => {
        const header = challenges
          .map(({ scheme, parameters }) => {
            const written = Object.entries(parameters).map(([name, text]) => `${name}="${text.replace(/["\\]/g, '\\$&')}"`);
            return `${scheme} ${written.join(',')}`;
          })
          .join(', ');
        assert.deepEqual(parseChallenges(header), challenges);
      }),
    );
  });

  it('never takes long or throws, whatever the header is', () => {
    for (const hostile of [
      'a'.repeat(50_000),
      ' ,'.repeat(30_000),
      'a="\\'.repeat(15_000),
      'a= '.repeat(20_000),
      'a '.repeat(30_000),
    ]) {
      const started = performance.now();
      parseChallenges(hostile);
      assert.ok(performance.now() - started < 1_000, `${hostile.slice(0, 10)}… took ${performance.now() - started} ms`);
    }
    fc.assert(fc.property(fc.string(), (header) => Array.isArray(parseChallenges(header))));
  });
});

describe('keys that programs read differently', () => {
  it('are found wherever they are, however they are written', () => {
    const ambiguous: readonly (readonly [text: string, key: string])[] = [
      ['{"manifests":[],"Manifests":[]}', 'Manifests'],
      ['{"Manifests":[]}', 'Manifests'],
      ['{"manifests":[],"manifests":[]}', 'manifests'],
      ['{"manifests":[],"\\u006danifests":[]}', 'manifests'],
      ['{"manife\u017fts":[]}', 'manife\u017fts'],
      ['{"manifests":[{"platform":{"os":"linux","OS":"linux"}}]}', 'OS'],
      ['{"annotations":{"a":"1","a":"2"}}', 'a'],
    ];
    for (const [text, key] of ambiguous) assert.equal(ambiguousKey(text), key, text);
  });

  it('are none of what people write into annotations, nor of what is further in where that does not count', () => {
    assert.equal(
      ambiguousKey('{"annotations":{"Config":"{\\"OS\\":1,","config":"2"},"layers":[{"size":1},{"size":2}]}'),
      undefined,
    );
    assert.equal(ambiguousKey('{"os":"linux","config":{"Labels":{"Version":"1","version":"1"}}}', 1), undefined);
  });

  it('are none of those of any JSON whose keys differ in more than case', () => {
    fc.assert(fc.property(fc.json(), (text) => typeof (ambiguousKey(text) ?? '') === 'string'));
    const key = fc.stringMatching(/^[a-z"\\ ]{0,4}$/).filter((name) => !['os', 'size'].includes(name));
    fc.assert(
      fc.property(fc.dictionary(key, fc.jsonValue({ maxDepth: 0 }), { noNullPrototype: true }), (value) => {
        assert.equal(ambiguousKey(JSON.stringify(value)), undefined);
        assert.equal(ambiguousKey(JSON.stringify({ ...value, config: value, Config: 1 })), 'Config');
      }),
    );
  });
});

describe('Link', () => {
  it('names the next page, or none', () => {
    assert.equal(nextPage('</v2/a/tags/list?last=b&n=2>; rel="next"'), '?last=b&n=2');
    assert.equal(
      nextPage('<?n=1>; rel="prev", <https://any/v2/a/tags/list?next_page=x%3D>; title="x"; rel=next'),
      '?next_page=x%3D',
    );
    assert.equal(nextPage('</v2/a/tags/list>; rel="next"'), undefined);
    assert.equal(nextPage('</a?b>; rel="previous"'), undefined);
    assert.equal(nextPage(null), undefined);
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-03-01T10:00:00Z');
  it('is at least a second and at most a day away, whatever it says', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.nat().map(String), fc.date({ noInvalidDate: true }).map(String)), (header) => {
        const wait = retryAfter(header, now).getTime() - now;
        return wait >= 1_000 && wait <= 86_400_000;
      }),
    );
    assert.equal(retryAfter('0', now).getTime(), now + 1_000);
    assert.equal(retryAfter('9'.repeat(400), now).getTime(), now + 86_400_000);
  });
});

describe('platforms', () => {
  it('are the same in every spelling', () => {
    const same: readonly [string, ...string[]][] = [
      ['linux/arm64', 'linux/arm64/v8', 'Linux/aarch64', 'linux/arm64/8'],
      ['linux/amd64', 'linux/x86_64', 'linux/amd64/v1'],
      ['linux/arm/v7', 'linux/arm', 'linux/armhf', 'linux/arm/7'],
      ['linux/arm/v6', 'linux/armel', 'linux/arm/v6'],
      ['linux/amd64/v3', 'linux/x86-64/v3'],
      ['darwin/arm64', 'macos/arm64/v8.0'],
      ['linux/s390x'],
      ['wasi/wasm'],
    ];
    for (const spellings of same)
      for (const spelling of spellings) assert.equal(normalPlatform(spelling), spellings[0], spelling);
    assert.equal(new Set(same.map(([first]) => normalPlatform(first))).size, same.length);
  });
});

describe('requests at once', () => {
  it('are never more than the limit, and their answers stay in order', async () => {
    let running = 0;
    let most = 0;
    const items = Array.from({ length: 40 }, (_, index) => index);
    const results = await concurrently(items, 3, async (item) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return item * 2;
    });
    assert.deepEqual(
      results,
      items.map((item) => item * 2),
    );
    assert.equal(most, 3);
  });

  it('end with the first error, and nothing further is begun', async () => {
    const begun: number[] = [];
    const work = concurrently([1, 2, 3, 4, 5, 6], 2, async (item) => {
      begun.push(item);
      await new Promise((resolve) => setImmediate(resolve));
      if (item === 2) throw new Error('broken');
    });
    await assert.rejects(work, /broken/);
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(begun, [1, 2, 3]);
  });
});
