import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expectedVersion, isVersion, valueAt } from '../../src/domain/watch.ts';
import { digestOf } from '../support/plans.ts';

const digest = digestOf('A');
const revision = '0123456789abcdef0123456789abcdef01234567';

describe('the version that an answer names', () => {
  it('is a digest, with or without sha256:, or at the end of a reference', () => {
    for (const found of [digest, digest.slice(7), `ghcr.io/team/web:1@${digest}`]) assert.ok(isVersion('digest', found, digest));
    for (const found of ['', digest.slice(0, 30), digestOf('B'), `${digest}0`]) assert.ok(!isVersion('digest', found, digest));
  });

  it('is a tag, or at the end of a reference', () => {
    for (const found of ['1.2', 'ghcr.io:443/team/web:1.2', `web:1.2@${digest}`]) assert.ok(isVersion('tag', found, '1.2'));
    for (const found of ['1.20', '11.2', 'v1.2', '', 'web']) assert.ok(!isVersion('tag', found, '1.2'));
  });

  it('is a revision, which may be shortened to seven digits', () => {
    for (const found of [revision, revision.slice(0, 7), revision.slice(0, 12).toUpperCase()])
      assert.ok(isVersion('revision', found, revision));
    for (const found of ['', revision.slice(0, 6), `${revision}0`, revision.slice(1, 9)])
      assert.ok(!isVersion('revision', found, revision));
  });

  it('cannot be compared with what is not known of the image', () => {
    assert.equal(expectedVersion('digest', { digest }), digest);
    assert.equal(expectedVersion('tag', { digest }), undefined);
    assert.equal(expectedVersion('revision', { digest, revision }), revision);
  });
});

describe('a JSON pointer', () => {
  // The examples of RFC 6901, section 5.
  const document = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'e^f': 3, 'g|h': 4, 'i\\j': 5, 'k"l': 6, ' ': 7, 'm~n': 8 };

  it('leads where RFC 6901 says', () => {
    const found = ['/foo/0', '/', '/a~1b', '/c%d', '/e^f', '/g|h', '/i\\j', '/k"l', '/ ', '/m~0n'].map((each) =>
      valueAt(document, each),
    );
    assert.deepEqual(found, ['bar', '0', '1', '2', '3', '4', '5', '6', '7', '8']);
  });

  it('leads nowhere but to text, numbers and booleans that are there', () => {
    for (const each of ['', '/foo', '/foo/2', '/foo/01', '/foo/-', '/foo/length', '/bar', 'foo', '/toString', '/__proto__']) {
      assert.equal(valueAt(document, each), undefined, each);
    }
    assert.equal(valueAt('1.2', ''), '1.2');
    assert.equal(valueAt({ ok: true }, '/ok'), 'true');
  });

  it('finds any key of any object', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (key, value) => {
        const pointer = `/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
        assert.equal(valueAt(JSON.parse(JSON.stringify(Object.fromEntries([[key, value]]))), pointer), value);
      }),
    );
  });
});
