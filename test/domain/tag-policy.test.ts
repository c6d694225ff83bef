import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Tag } from '../../src/domain/image-reference.ts';
import { type Candidate, compareCandidates, follows, latestOf, problemOf, type TagPolicy } from '../../src/domain/tag-policy.ts';

const exact = (...tags: string[]): TagPolicy => ({ kind: 'exact', tags: tags as Tag[] });
const within = (range: string): TagPolicy => ({ kind: 'semver', range });
const matching = (pattern: string, order: 'alphabetical' | 'numerical' | 'newest'): TagPolicy => ({
  kind: 'pattern',
  pattern,
  order,
});
const candidate = (tag: string, created?: string): Candidate => ({
  tag: tag as Tag,
  ...(created === undefined ? {} : { created }),
});

const number = fc.integer({ min: 0, max: 30 });
const version = fc
  .tuple(fc.constantFrom('', 'v'), number, number, number, fc.constantFrom('', '-rc.1', '-rc.10', '-rc.2', '-alpha', '-0'))
  .map(([v, major, minor, patch, prerelease]) => `${v}${major}.${minor}.${patch}${prerelease}`);
const build = fc
  .tuple(fc.constantFrom('', '0', '00'), fc.bigInt({ min: 0n, max: 10n ** 40n }))
  .map(([zeros, n]) => `main-${zeros}${n}`);
const word = fc.string({ unit: fc.constantFrom(...'aAzZ0129._-'), minLength: 1, maxLength: 6 }).map((text) => `x${text}`);
const moment = fc.option(
  fc.oneof(
    fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }).map((date) => date.toISOString()),
    fc.constantFrom('0001-01-01T00:00:00Z', 'yesterday', ''),
  ),
  { nil: undefined },
);

const ordered: readonly (readonly [string, TagPolicy, fc.Arbitrary<string>])[] = [
  ['exact tags', exact('a', 'b'), fc.constantFrom('a', 'b')],
  ['semantic versions', within('>=0.0.0-0'), version],
  ['numbers', matching('^main-(\\d+)$', 'numerical'), build],
  ['text', matching('^x(.*)$', 'alphabetical'), word],
  ['creation times', matching('.*', 'newest'), word],
];

describe('a tag policy', () => {
  for (const [name, policy, tag] of ordered) {
    it(`orders by ${name} totally and transitively`, () => {
      const any = fc.tuple(tag, moment).map(([text, created]) => candidate(text, created));
      fc.assert(
        fc.property(any, any, any, (a, b, c) => {
          const [ab, ba, bc, ac] = [
            compareCandidates(policy, a, b),
            compareCandidates(policy, b, a),
            compareCandidates(policy, b, c),
            compareCandidates(policy, a, c),
          ].map(Math.sign);
          assert.equal(ab, ba === 0 ? 0 : -(ba ?? 0));
          if (ab === bc) assert.equal(ac, ab);
          if (ab === 0) assert.equal(ac, bc);
          assert.equal(compareCandidates(policy, a, a), 0);
        }),
        { numRuns: 3000 },
      );
    });
  }

  for (const [name, policy, tag] of ordered) {
    it(`has as its latest by ${name} the first that none is later than`, () => {
      const any = fc.tuple(tag, moment).map(([text, created]) => candidate(text, created));
      fc.assert(
        fc.property(fc.array(any, { maxLength: 8 }), (candidates) => {
          const [first] = candidates.toSorted((a, b) => compareCandidates(policy, b, a));
          assert.equal(latestOf(policy, candidates), first);
        }),
        { numRuns: 1000 },
      );
    });
  }

  it('answers for any text of any length, and never follows what is no tag', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 300 }), version, build), (text) => {
        for (const [, policy] of ordered) {
          if (follows(policy, text)) assert.match(text, /^\w[\w.-]{0,127}$/);
        }
      }),
      { numRuns: 3000 },
    );
    for (const policy of [matching('.*', 'newest'), exact('a'), within('*'), matching('(a+)+', 'alphabetical')]) {
      assert.equal(follows(policy, 'a'.repeat(1_000_000)), false);
      assert.equal(follows(policy, ''), false);
    }
  });

  it('compares numbers of any length by value', () => {
    const policy = matching('^main-(\\d+)$', 'numerical');
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 100n }), fc.bigInt({ min: 0n, max: 10n ** 100n }), (a, b) => {
        assert.equal(compareCandidates(policy, candidate(`main-${a}`), candidate(`main-00${b}`)), a < b ? -1 : a > b ? 1 : 0);
      }),
    );
  });

  const followed: readonly (readonly [TagPolicy, readonly string[], readonly string[]])[] = [
    [exact('latest', 'stable'), ['latest', 'stable'], ['Latest', 'latest ', '', 'edge']],
    [
      within('>=1.2 <2'),
      ['1.2.0', 'v1.2.0', '1.99.99'],
      ['1.1.9', '2.0.0', '1.2', 'v1', '1', '1.3.0-rc.1', 'latest', '1.2.0.1', 'vv1.2.0', 'V1.2.0', '01.2.0'],
    ],
    [within('>=1.3.0-rc.1 <2'), ['1.3.0-rc.1', '1.3.0-rc.2', '1.3.0', '1.4.0'], ['1.4.0-rc.1', '1.3.0-alpha']],
    [within('^0.3'), ['0.3.9'], ['0.4.0']],
    [within('*'), ['0.0.1'], ['1.0.0-rc.1']],
    [within('1.x || 3.x'), ['1.0.0', '3.9.0'], ['2.0.0']],
    [matching('main-\\d+', 'numerical'), [], ['main-1', 'xmain-1', 'main-1x']],
    [matching('main-(\\d+)', 'numerical'), ['main-1', 'main-007'], ['xmain-1', 'main-1x', 'main-']],
    [matching('(\\d+\\.\\d+)', 'numerical'), [], ['1.10']],
    [matching('(\\d+\\.\\d+)', 'alphabetical'), ['1.10'], ['1.10.1']],
    [matching('a|b', 'newest'), ['a', 'b'], ['ab', 'ac', 'xb']],
  ];
  for (const [policy, yes, no] of followed) {
    it(`${JSON.stringify(policy)} follows the tags that it describes, as a whole`, () => {
      for (const tag of yes) assert.equal(follows(policy, tag), true, tag);
      for (const tag of no) assert.equal(follows(policy, tag), false, tag);
    });
  }

  const later: readonly (readonly [TagPolicy, string, string])[] = [
    [within('*'), '1.9.0', '1.10.0'],
    [within('*'), 'v1.9.0', '1.10.0'],
    [within('>=1.0.0-0'), '1.0.0-rc.2', '1.0.0-rc.10'],
    [within('>=1.0.0-0'), '1.0.0-rc.10', '1.0.0'],
    [matching('(\\d+)', 'numerical'), '9', '10'],
    [matching('(\\d+)', 'numerical'), '9007199254740992', '9007199254740993'],
    [matching('.*', 'alphabetical'), '10', '9'],
    [matching('.*', 'alphabetical'), 'Z', 'a'],
    [matching('[a-z]+-(\\d+)', 'numerical'), 'z-1', 'a-2'],
  ];
  for (const [policy, earlier, next] of later) {
    it(`${next} comes after ${earlier} for ${JSON.stringify(policy)}`, () => {
      assert.ok(compareCandidates(policy, candidate(earlier), candidate(next)) < 0);
      assert.ok(compareCandidates(policy, candidate(next), candidate(earlier)) > 0);
    });
  }

  it('orders nothing by exact tags, nor two spellings of one version', () => {
    assert.equal(compareCandidates(exact('a', 'b'), candidate('a', '2024-01-01T00:00:00Z'), candidate('b')), 0);
    assert.equal(compareCandidates(within('*'), candidate('v1.2.3'), candidate('1.2.3')), 0);
  });

  it('takes the later creation time as newest, and an image without one as oldest', () => {
    const policy = matching('.*', 'newest');
    const [early, late] = [candidate('z', '2024-01-01T00:00:00+02:00'), candidate('a', '2023-12-31T23:00:00.123456789Z')];
    assert.ok(compareCandidates(policy, early, late) < 0);
    assert.ok(compareCandidates(policy, candidate('m'), early) < 0);
    assert.equal(compareCandidates(policy, candidate('m'), candidate('n', 'unreadable')), 0);
  });

  it('has no problem where it can be used', () => {
    for (const [policy] of followed) assert.equal(problemOf(policy), undefined);
  });

  const problems: readonly (readonly [TagPolicy, RegExp])[] = [
    [exact(), /at least one tag/],
    [exact('latest', 'a b'), /'a b'/],
    [exact('*'), /'\*'.*semver/],
    [within('newest'), /'>=1\.2 <2'.*found 'newest'/],
    [within(' '), /range/],
    [matching('(', 'newest'), /missing closing/],
    [matching('(?=x)', 'newest'), /no look-around/],
  ];
  for (const [policy, message] of problems) {
    it(`refuses ${JSON.stringify(policy)} and says what was expected`, () => assert.match(problemOf(policy) ?? '', message));
  }
});
