import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runToEnd } from '../../../src/deploys/compose/detached-program.ts';
import { findProcesses } from '../../../src/platform/processes/identity.ts';
import { eventually } from '../../support/wait.ts';

describe('a program of a compose deploy', () => {
  it('that cannot be remembered never begins, and does not stay', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-program-'));
    const mark = `begun-${randomUUID()}`;
    try {
      // In the way of the file that says what runs.
      await mkdir(join(folder, 'running.json', 'taken'), { recursive: true });
      const run = { command: ['mkdir', join(folder, mark)], cwd: folder, env: { PATH: process.env.PATH }, timeoutMs: 60_000 };
      await assert.rejects(runToEnd(folder, run), { code: 'EISDIR' });
      await eventually('its end', async () => (await findProcesses(mark)).length === 0);
      await assert.rejects(rm(join(folder, mark), { recursive: true }), { code: 'ENOENT' });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
