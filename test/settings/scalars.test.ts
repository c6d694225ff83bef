import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InvalidReference, parseRepository } from '../../src/domain/image-reference.ts';
import { parseDuration, parseSize } from '../../src/settings/amounts.ts';
import { exactness, matchesPattern, parseImagePattern } from '../../src/settings/image-pattern.ts';
import { editDistance, nearest } from '../../src/settings/wording.ts';

const unitsOfTime = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const unitsOfSize = { b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 } as const;

describe('durations and sizes', () => {
  it('read any whole number of a unit, up to a year', () => {
    const unit = fc.constantFrom(...(Object.keys(unitsOfTime) as (keyof typeof unitsOfTime)[]));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 366 }),
        unit,
        (amount, name) => parseDuration(`${amount}${name}`) === amount * unitsOfTime[name],
      ),
    );
    const size = fc.constantFrom(...(Object.keys(unitsOfSize) as (keyof typeof unitsOfSize)[]));
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 999_999_999 }), size, fc.boolean(), (amount, name, upper) => {
        return parseSize(`${amount}${upper ? name.toUpperCase() : name}`) === amount * unitsOfSize[name];
      }),
    );
  });

  it('read nothing else, and never throw', () => {
    for (const text of ['', '5', '1.5s', '-1s', '0s', ' 1s', '1 s', '1S', '367d', '9999999999s', '1h30m']) {
      assert.equal(parseDuration(text), undefined, text);
    }
    fc.assert(
      fc.property(fc.string(), (text) => {
        const duration = parseDuration(text);
        return duration === undefined || (Number.isSafeInteger(duration) && duration > 0);
      }),
    );
  });
});

const component = fc.stringMatching(/^[a-z0-9]{1,6}(?:-[a-z0-9]{1,4})?$/);
const repository = fc
  .array(component, { minLength: 1, maxLength: 3 })
  .map((path) => parseRepository(`ghcr.io/${path.join('/')}`));

describe('image patterns', () => {
  it('match themselves where they name one repository, and nothing else', () => {
    fc.assert(
      fc.property(repository, repository, (a, b) => {
        const pattern = parseImagePattern(a);
        return pattern.repository === a && matchesPattern(pattern, a) && matchesPattern(pattern, b) === (a === b);
      }),
    );
  });

  it('match whatever stands in place of a *, within one component', () => {
    fc.assert(
      fc.property(repository, fc.nat(), fc.nat(), (name, from, length) => {
        const slash = name.lastIndexOf('/') + 1;
        const start = slash + (from % (name.length - slash));
        const end = Math.min(name.length, start + length);
        const pattern = parseImagePattern(`${name.slice(0, start)}*${name.slice(end)}`);
        return matchesPattern(pattern, name) && !matchesPattern(pattern, parseRepository(`${name}/x`));
      }),
    );
  });

  it('agree with a regular expression about any number of *', () => {
    const small = fc.stringMatching(/^[ab]{1,7}$/);
    // At the end, ** stands for any path.
    const wild = fc.stringMatching(/^[ab*]{1,7}$/).filter((text) => !text.endsWith('**'));
    fc.assert(
      fc.property(wild, small, (text, found) => {
        const expected = new RegExp(`^${text.replaceAll('*', '[^/]*')}$`).test(found);
        return matchesPattern(parseImagePattern(`ghcr.io/${text}`), parseRepository(`ghcr.io/${found}`)) === expected;
      }),
      { numRuns: 2_000 },
    );
  });

  it('are the more exact the more they say, and one repository is the most exact of all', () => {
    const [one, most, less] = ['a/app-web', 'a/app-*', 'a/*'].map((text) => exactness(parseImagePattern(text)));
    assert.ok(one !== undefined && most !== undefined && less !== undefined && one > most && most > less);
  });

  it("write Docker Hub's short names out", () => {
    assert.equal(parseImagePattern('nginx').text, 'docker.io/library/nginx');
    assert.equal(parseImagePattern('team/*').text, 'docker.io/team/*');
  });

  it('refuse tags, digests, upper case, and a * in the registry', () => {
    for (const text of ['a/b:1', `a/b@sha256:${'0'.repeat(64)}`, 'ghcr.io/Team/*', '*.io/team/app', 'ghcr.io/team/', '']) {
      assert.throws(() => parseImagePattern(text), InvalidReference, text);
    }
  });
});

describe('the suggestion for an unknown key', () => {
  const keys = ['artifacts', 'listen', 'receivers', 'registries', 'services', 'defaults', 'data'];

  it('is the key that was meant', () => {
    for (const [typed, meant] of [
      ['sevices', 'services'],
      ['lisetn', 'listen'],
      ['Artefacts', 'artifacts'],
      ['registrys', 'registries'],
    ] as const) {
      assert.equal(nearest(typed, keys), meant);
    }
  });

  it('is nothing where nothing is near', () => {
    for (const typed of ['deploy', 'approval', 'windows', 'x', '']) assert.equal(nearest(typed, keys), undefined, typed);
  });

  it('counts the swap of two neighbours as one edit', () => {
    assert.equal(editDistance('listen', 'lisetn'), 1);
  });

  it('measures a distance: none to itself, the same both ways, one for a single edit', () => {
    const word = fc.string({ maxLength: 8 });
    fc.assert(
      fc.property(word, word, fc.nat(), fc.string({ minLength: 1, maxLength: 1 }), (a, b, at, letter) => {
        const where = at % (a.length + 1);
        const inserted = a.slice(0, where) + letter + a.slice(where);
        return editDistance(a, a) === 0 && editDistance(a, b) === editDistance(b, a) && editDistance(a, inserted) === 1;
      }),
    );
  });
});
