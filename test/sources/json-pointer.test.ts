import assert from 'node:assert/strict';
import { parseJsonPointer, valueAt } from '../../src/sources/generic/settings.ts';

describe('a JSON pointer', () => {
  // The examples of RFC 6901, section 5.
  const document = { foo: ['bar', 'baz'], '': 0, 'a/b': 1, 'c%d': 2, 'e^f': 3, 'g|h': 4, 'i\\j': 5, 'k"l': 6, ' ': 7, 'm~n': 8 };
  const at = (text: string, value: unknown = document) => {
    const pointer = parseJsonPointer(text);
    assert.ok(pointer !== undefined, text);
    return valueAt(value, pointer);
  };

  it('leads to what the RFC says', () => {
    assert.deepEqual(at(''), document);
    const found = ['/foo/0', '/', '/a~1b', '/c%d', '/e^f', '/g|h', '/i\\j', '/k"l', '/ ', '/m~0n'].map((text) => at(text));
    assert.deepEqual(found, ['bar', 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert.equal(at('/~01', { '~1': 'x' }), 'x');
  });

  it('leads to nothing but own members, and in lists to items', () => {
    for (const text of ['/toString', '/hasOwnProperty', '/foo/length', '/foo/-', '/foo/01', '/foo/2', '/foo/0/0', '/a~1b/c']) {
      assert.equal(at(text), undefined, text);
    }
    for (const value of [null, undefined, 'text', 7]) assert.equal(at('/length', value), undefined);
  });
});
