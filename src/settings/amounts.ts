/** How long and how large, as people write it. Without the schemas of the configuration, which the command should not load for a time limit. */

export const durationPattern = /^(\d{1,9})(ms|s|m|h|d)$/;
const milliseconds = new Map(Object.entries({ ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }));
/** Temporal and Node count in milliseconds; a year is more than anything here can mean. */
const longestMilliseconds = 366 * 86_400_000;

const sizePattern = /^(\d{1,9})([bkmg])$/;
const bytes = new Map(Object.entries({ b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }));

/** Milliseconds of `60s`, `10m`, `24h`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const total = amountOf(text, durationPattern, milliseconds);
  return total > 0 && total <= longestMilliseconds ? total : undefined;
}

/** Bytes of `512m` or `2g`, counted by 1024 as Docker does; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const total = amountOf(text.toLowerCase(), sizePattern, bytes);
  return Number.isNaN(total) ? undefined : total;
}

function amountOf(text: string, pattern: RegExp, units: ReadonlyMap<string, number>): number {
  const [, amount, unit = ''] = pattern.exec(text) ?? [];
  return Number(amount) * (units.get(unit) ?? Number.NaN);
}
