import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { annotation, withoutCommands, writeSummary } from '../../src/cli/github-actions.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';

describe('what GitHub Actions shows of a run', () => {
  it('is one annotation, whatever is in its words', () => {
    assert.equal(
      annotation('error', 'web: a,b', '100 %\nof it::warning::x\r'),
      '::error title=web%3A a%2Cb::100 %25%0Aof it::warning::x%0D',
    );
  });

  it('takes commands again after the work, also where it fails, and nobody can guess by which word', async () => {
    const lines: string[] = [];
    for (const _ of [1, 2]) {
      const failing = withoutCommands(
        (line) => lines.push(line),
        () => Promise.reject(new Error('no')),
      );
      await assert.rejects(failing, /no/);
    }
    const [first, second, third] = lines.map((line) => /[\w-]{36}/.exec(line)?.[0]);
    assert.deepEqual(lines.slice(0, 2), [`::stop-commands::${first}`, `::${second}::`]);
    assert.deepEqual([first === second, first === third], [true, false]);
  });

  it('has what was found as it is, also where it would end its block', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'landfall-summary-'));
    try {
      const file = join(folder, 'summary.md');
      const steps = [{ step: 'smoke', status: 'blocked', details: { log: 'a\n````\n# b' } }] as const;
      const image = { repository: 'ghcr.io/team/web', tag: 'v1', digest: 'sha256:1' } as RolloutState['image'];
      const at = '2026-01-01T00:00:00Z';
      const state: RolloutState = {
        service: 'web',
        image,
        status: 'blocked',
        steps,
        proposals: {},
        startedAt: at,
        changedAt: at,
      };
      await writeSummary([state], { GITHUB_STEP_SUMMARY: file });
      await writeSummary([state], {});
      assert.match(await readFile(file, 'utf8'), /\*\*blocked\*\*[\s\S]*\n\n`````\n\| a\n\| ````\n\| # b\n`````\n$/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
