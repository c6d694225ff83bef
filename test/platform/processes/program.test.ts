import assert from 'node:assert/strict';
import { getPriority } from 'node:os';
import { runProgram } from '../../../src/platform/processes/launcher.ts';

describe('a program that computes for long', () => {
  it('yields to everything else, with what it starts, where it is asked to', async () => {
    // It waits for its input, which comes once its priority is set.
    const command = ['/bin/sh', '-c', 'read -r line; sh -c nice'];
    const run = { command, environment: { PATH: process.env.PATH }, input: 'go\n' };
    const limits = { memoryBytes: 1024 ** 3, fileBytes: 1024 ** 2 };
    const own = getPriority();
    assert.equal(Number((await runProgram(run)).stdout), own);
    assert.equal(Number((await runProgram({ ...run, yields: true, limits })).stdout), Math.max(own, 10));
  });
});
