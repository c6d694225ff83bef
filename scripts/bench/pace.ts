/** How fast something went that was done many times, several at once. */
export interface Pace {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Something that is done many times, and measured. */
export interface Contest {
  readonly count: number;
  readonly act: (index: number) => Promise<void>;
}

/** Does something `count` times, `atOnce` of them at any time. Whatever fails ends it. */
export async function paceOf(count: number, atOnce: number, act: Contest['act']): Promise<Pace> {
  const [pace] = await pacesOf([{ count, act }] as const, atOnce);
  return pace;
}

/**
 * The paces of several that do the same work. They take turns, a part each, so that what else the machine does meets all of them alike.
 */
export async function pacesOf<Contests extends readonly Contest[]>(
  contests: Contests,
  atOnce: number,
  parts = 1,
): Promise<{ readonly [Key in keyof Contests]: Pace }> {
  const taken = contests.map(() => ({ ms: 0, times: [] as number[] }));
  for (let part = 0; part < parts; part += 1) {
    for (const [index, { count, act }] of contests.entries()) {
      const range = [Math.round((count * part) / parts), Math.round((count * (part + 1)) / parts)] as const;
      const { ms, times } = await timesOf(range, atOnce, act);
      const sum = taken[index];
      if (sum !== undefined) taken[index] = { ms: sum.ms + ms, times: sum.times.concat(times) };
    }
  }
  return taken.map(paceFrom) as { readonly [Key in keyof Contests]: Pace };
}

async function timesOf([first, end]: readonly [number, number], atOnce: number, act: Contest['act']) {
  const times: number[] = [];
  let next = first;
  const begun = performance.now();
  const lane = async (): Promise<void> => {
    while (next < end) {
      const index = next;
      next += 1;
      const from = performance.now();
      await act(index);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return { ms: performance.now() - begun, times };
}

function paceFrom({ ms, times }: { readonly ms: number; readonly times: readonly number[] }): Pace {
  const sorted = [...times].sort((a, b) => a - b);
  return { perSecond: sorted.length / (ms / 1_000), p50Ms: percentile(sorted, 0.5), p99Ms: percentile(sorted, 0.99) };
}

/** @param sorted in rising order; at least one */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}
