import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import fc from 'fast-check';
import { askYesOrNo, coloured, formatDuration, table } from '../../src/cli/terminal.ts';

describe('what the command prints', () => {
  it('is aligned: each column begins at one place in every line', () => {
    const cell = fc.stringMatching(/^[a-z]{1,9}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(cell, cell, cell), { minLength: 1, maxLength: 6 }), (rows) => {
        const lines = table(rows);
        const starts = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)) + 2);
        const [second = 0, third = 0] = [starts[0] ?? 0, (starts[0] ?? 0) + (starts[1] ?? 0)];
        return rows.every((row, index) => lines[index]?.startsWith(row[1], second) && lines[index]?.slice(third) === row[2]);
      }),
    );
  });

  it('is no wider than the terminal, and whole where there is none, or too little room to say anything', () => {
    const rows = [['app', 'a reason of many words, and some more of them']];
    assert.deepEqual(table(rows, 20), ['app  a reason of ma…']);
    for (const width of [undefined, 0, 16])
      assert.deepEqual(table(rows, width), ['app  a reason of many words, and some more of them']);
  });

  it('keeps a line a line, whatever a reason holds', () => {
    assert.deepEqual(table([['a', 'one\n two\r\nthree']]), ['a  one two three']);
  });

  it('is coloured on a terminal only, and not where NO_COLOR is set', () => {
    assert.equal(coloured('blocked', { env: {} }), 'blocked');
    assert.equal(coloured('blocked', { env: { NO_COLOR: '1' }, width: 80 }), 'blocked');
    const onTerminal = coloured('blocked', { env: {}, width: 80 });
    assert.notEqual(onTerminal, 'blocked');
    assert.equal(stripVTControlCharacters(onTerminal), 'blocked');
  });

  it('tells durations in the two units that matter', () => {
    for (const [milliseconds, text] of [
      [0, '0ms'],
      [999, '999ms'],
      [1_500, '2s'],
      [59_999, '1m0s'],
      [125_000, '2m5s'],
      [4 * 3_600_000 + 600_000, '4h10m'],
      [3 * 86_400_000 + 7_200_000, '3d2h'],
      [-5, '0ms'],
    ] as const) {
      assert.equal(formatDuration(milliseconds), text);
    }
  });
});

describe('a question', () => {
  for (const [typed, answer] of [
    ['y\n', true],
    ['Yes \n', true],
    ['\n', false],
    ['n\n', false],
    ['yesterday\n', false],
    ['', false],
  ] as const) {
    it(`is ${answer ? 'agreed to' : 'declined'} with ${JSON.stringify(typed)}`, async () => {
      const input = new PassThrough();
      input.end(typed);
      assert.equal(await askYesOrNo('Really?', input, new PassThrough().resume()), answer);
    });
  }
});
