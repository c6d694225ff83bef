import assert from 'node:assert/strict';
import { parseEnvironmentFile } from '../../../src/platform/docker/environment.ts';

describe('an environment file', () => {
  it('gives its variables, without comments, quotes and export', () => {
    const text = '\uFEFF# comment\r\n\r\nA=1\nexport B="two words"\n  C = \'x=y\'\nEMPTY=\nHASH=a#b\nOPEN="half\nDOLLAR=$A\n';
    assert.deepEqual(parseEnvironmentFile(text, '.env'), {
      A: '1',
      B: 'two words',
      C: 'x=y',
      EMPTY: '',
      HASH: 'a#b',
      OPEN: '"half',
      DOLLAR: '$A',
    });
  });

  it('is refused with the number of a line that is no variable, and without what stands there', () => {
    assert.throws(
      () => parseEnvironmentFile('A=1\nhunter2 is secret\n', '.env.test'),
      (error: Error) => {
        assert.equal(error.name, 'SmokeFailed');
        assert.match(error.message, /expected NAME=VALUE in line 2 of \.env\.test/);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      },
    );
  });
});
