/** Words for numbers and times, as short as a row has room. */

const units = [
  { name: 'd', ms: 86_400_000 },
  { name: 'h', ms: 3_600_000 },
  { name: 'min', ms: 60_000 },
  { name: 's', ms: 1_000 },
] as const;

/** `0.4 s`, `12 s`, `4 min`, `2 h 5 min`, `3 d 4 h`. */
export function shortDuration(ms: number): string {
  if (!(ms >= 0)) return '0 s';
  if (ms < 9_950) return `${(ms / 1000).toFixed(1).replace(/\.0$/, '')} s`;
  const first = units.findIndex((unit) => ms >= unit.ms);
  const [large, small] = [units[first], units[first + 1]];
  if (large === undefined || small === undefined || large.name === 'min') {
    const unit = large ?? { name: 's', ms: 1_000 };
    return `${Math.round(ms / unit.ms)} ${unit.name}`;
  }
  const count = Math.floor(ms / large.ms);
  const rest = Math.floor((ms - count * large.ms) / small.ms);
  return rest === 0 || count >= 10 ? `${count} ${large.name}` : `${count} ${large.name} ${rest} ${small.name}`;
}

/** `just now`, `4 min ago`. */
export function ago(at: string, now: number): string {
  const ms = now - Date.parse(at);
  return ms < 5_000 ? 'just now' : `${shortDuration(ms)} ago`;
}

/** `2026-01-31 08:00:00 UTC`: in one zone for all who look, as the log has it. */
export function utcTime(at: string): string {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? at : `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** The first twelve digits, as ids have them. */
export function shortDigest(digest: string): string {
  return digest.replace(/^sha256:/, '').slice(0, 12);
}

/** `1 service`, `2 services`. */
export function counted(count: number, one: string, more = `${one}s`): string {
  return `${count} ${count === 1 ? one : more}`;
}
