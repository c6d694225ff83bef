import assert from 'node:assert/strict';
import fc from 'fast-check';
import { compilePattern, InvalidPattern } from '../../src/domain/tag-policy.ts';

describe('a pattern over tags', () => {
  for (const [pattern, text, compared] of [
    ['^main-(\\d+)$', 'main-12', '12'],
    ['main-(\\d+)', 'main-12', '12'],
    ['main-\\d+', 'main-12', 'main-12'],
    ['main-\\d+', 'xmain-12', undefined],
    ['main-\\d+', 'main-12x', undefined],
    ['(?:rc|beta)\\.(\\d+)', 'beta.7', '7'],
    ['(rc)?-?(\\d+)', '7', '7'],
    ['a|ab', 'ab', 'ab'],
    ['(?i)main', 'MAIN', 'MAIN'],
    ['.*', '', ''],
  ] as const) {
    it(`${pattern} over '${text}' compares ${compared}`, () => {
      assert.equal(compilePattern(pattern)(text), compared);
    });
  }

  for (const pattern of ['(', '[z-a]', '(?=x)', '(a)\\1', '*', 'a{2,1}', `${'a'.repeat(501)}`]) {
    it(`${pattern.slice(0, 30)} is refused with a reason`, () => {
      assert.throws(() => compilePattern(pattern), InvalidPattern);
    });
  }

  it('is compiled once, however often it is asked for, and is still right after many others', () => {
    const first = compilePattern('first-(\\d+)');
    assert.equal(compilePattern('first-(\\d+)'), first);
    for (let other = 0; other < 1_000; other++) compilePattern(`other-${other}-(\\d+)`);
    assert.equal(compilePattern('first-(\\d+)')('first-7'), '7');
    assert.notEqual(compilePattern('first-(\\d+)'), first, 'expected it to be forgotten, as what is kept has a limit');
  });

  it('takes linear time where backtracking would take for ever', () => {
    const started = performance.now();
    assert.equal(compilePattern('^(a+)+$')(`${'a'.repeat(127)}!`), undefined);
    assert.notEqual(compilePattern('((a?){100}){5}b?')('a'.repeat(128)), undefined);
    assert.ok(performance.now() - started < 2_000);
  });

  it('is compiled or refused with InvalidPattern, and nothing else, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^[a-z(){}[\]|*+?.\\0-9^$,:=!<-]{0,12}$/)),
        fc.string(),
        (pattern, text) => {
          try {
            const compared = compilePattern(pattern)(text);
            assert.ok(compared === undefined || text.includes(compared));
          } catch (error) {
            assert.ok(error instanceof InvalidPattern, String(error));
          }
        },
      ),
      { numRuns: 3_000 },
    );
  });
});
