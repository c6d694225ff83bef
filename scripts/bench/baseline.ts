import { readFileSync } from 'node:fs';
import { z } from 'zod';
import type { Aim } from './report.ts';

/** What the ratios were when somebody measured them on an otherwise idle machine, by the ids of the aims. */
const file = new URL('./baseline.json', import.meta.url);

/** A ratio may get worse by so much, which is more than it differs from run to run. */
const tolerated = 1.3;

export function readBaseline(): ReadonlyMap<string, number> {
  return new Map(Object.entries(z.record(z.string(), z.number().positive()).parse(JSON.parse(readFileSync(file, 'utf8')))));
}

/** What has become slower beside its peer, one sentence each. */
export function regressions(aims: readonly Aim[], baseline: ReadonlyMap<string, number>): string[] {
  return aims.flatMap((aim) => {
    const { id, what, found, isRatio = false } = aim;
    const before = baseline.get(id);
    if (!isRatio || before === undefined) return [];
    const worse = 'atMost' in aim ? found / before : before / found;
    if (worse <= tolerated) return [];
    return [`${what}: ${found.toFixed(2)}, and it was ${before.toFixed(2)}: worse by ${Math.round((worse - 1) * 100)} %`];
  });
}
