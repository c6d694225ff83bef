import assert from 'node:assert/strict';
import { type BuildOptions, ofFolder, planPush, planTag, type TagFacts } from '../../src/domain/build.ts';
import type { Tag } from '../../src/domain/image-reference.ts';

describe('what is done about an image', () => {
  for (const [exists, options, builds, pushes] of [
    [false, {}, true, true],
    [true, {}, false, false],
    [false, { dryRun: true }, true, false],
    [true, { dryRun: true }, true, false],
    [false, { force: true }, true, true],
    [true, { force: true }, true, true],
  ] as const) {
    const asked = Object.keys(options).join('') || 'nothing';
    it(`that the registry ${exists ? 'has' : 'does not have'}, where ${asked} is asked for`, () => {
      const { why, ...plan } = planPush(exists, options);
      assert.deepEqual(plan, { builds, pushes });
      assert.notEqual(why, '');
    });
  }
});

describe('what is called after a folder', () => {
  for (const [text, folder, expected] of [
    ['*', 'services/web', 'web'],
    ['ghcr.io/team/*-image', 'web', 'ghcr.io/team/web-image'],
    ['web', '', 'web'],
    ['*', 'services/$&$$', '$&$$'],
  ] as const)
    it(`${text} of '${folder}' is ${expected}`, () => assert.equal(ofFolder(text, folder), expected));
});

const commit = '0123456789abcdef0123456789abcdef01234567';
const released: TagFacts = { version: '1.2.3', commit, branch: 'main' };
const candidate: TagFacts = { ...released, version: '1.2.3-rc.1' };

describe('the tag of what is built', () => {
  for (const [what, rule, options, facts, tag, movesLatest] of [
    ['the commit', ['{commit}', 'never'], {}, released, '0123456789ab', false],
    ['the version', ['{version}', 'release'], {}, released, '1.2.3', true],
    ['a candidate, which latest does not follow', ['{version}', 'release'], {}, candidate, '1.2.3-rc.1', false],
    ['a candidate, which it follows where always', ['{version}', 'always'], {}, candidate, '1.2.3-rc.1', true],
    [
      'a branch, in letters that a tag may have',
      ['{branch}-{commit}', 'never'],
      {},
      { ...released, branch: 'feature/a b' },
      'feature-a-b-0123456789ab',
      false,
    ],
    ['the same fact twice', ['{version}.{version}', 'never'], {}, released, '1.2.3.1.2.3', false],
    ['latest itself, which is moved once', ['latest', 'always'], {}, released, 'latest', false],
    ['what is asked for', ['{version}', 'never'], { tag: 'v9' as Tag }, { ...released, version: undefined }, 'v9', false],
    ['with latest, where that is asked for', ['{commit}', 'never'], { movesLatest: true }, candidate, '0123456789ab', true],
    ['without, where that is asked for', ['{commit}', 'always'], { movesLatest: false }, released, '0123456789ab', false],
    ['a pre-release', ['{commit}', 'always'], { release: 'pre-release' }, released, '1.2.3-dev.0123456789', false],
    ['a release', ['{commit}', 'never'], { release: 'main-release' }, released, '1.2.3', true],
    ['a release that is a candidate', ['{commit}', 'always'], { release: 'main-release' }, candidate, '1.2.3-rc.1', false],
  ] as const satisfies readonly (readonly [string, readonly [string, string], BuildOptions, TagFacts, string, boolean])[]) {
    it(`is ${what}`, () => {
      assert.deepEqual(planTag({ tag: rule[0], latest: rule[1] }, options, facts), { tag, movesLatest });
    });
  }

  it('lacks the version, where the project says none', () => {
    const facts = { ...released, version: undefined };
    assert.deepEqual(planTag({ tag: 'v{version}', latest: 'never' }, {}, facts), { lacks: 'version' });
    assert.deepEqual(planTag({ tag: '{commit}', latest: 'never' }, { release: 'pre-release' }, facts), { lacks: 'version' });
  });
});
