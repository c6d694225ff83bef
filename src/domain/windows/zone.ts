/** Time zones, by what the platform's own tables say. Instants are milliseconds since 1970 UTC; a wall time is what the clocks show, as if it were UTC. */

const hour = 3_600_000;
const day = 24 * hour;
/** Making a formatter costs a hundred times what using it does. */
const formatters = new Map<string, Intl.DateTimeFormat>();

/** Whether it is an IANA name that this platform knows, such as Europe/Stockholm or UTC; a mere offset such as +01:00 is none. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z][\w+/-]*$/.test(name)) return false;
  try {
    formatterOf(name);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** How far the clocks of the zone are ahead of UTC, in milliseconds. */
export function offsetAt(zone: string, instant: number): number {
  const second = Math.floor(instant / 1000) * 1000;
  const shown = Object.fromEntries(
    formatterOf(zone)
      .formatToParts(second)
      .map(({ type, value }) => [type, Number(value)]),
  );
  const { year = 0, month = 0, day: date = 0, hour: hours = 0, minute = 0, second: seconds = 0 } = shown;
  return Date.UTC(year, month - 1, date, hours, minute, seconds) - second;
}

/** The first instant after `from`, and not after `to`, from which on the clocks are set differently. */
export function offsetChange(zone: string, from: number, to: number): number | undefined {
  for (let start = from; start < to; start += day) {
    const end = Math.min(start + day, to);
    const offset = offsetAt(zone, start);
    if (offsetAt(zone, end) !== offset) return changeBetween(zone, start, end, offset);
  }
  return undefined;
}

function changeBetween(zone: string, start: number, end: number, offset: number): number {
  let [before, after] = [start, end];
  while (after - before > 1) {
    const middle = before + Math.floor((after - before) / 2);
    if (offsetAt(zone, middle) === offset) before = middle;
    else after = middle;
  }
  return after;
}

/** When the clocks show a wall time: the first time where they do so twice, and shifted by the gap where they never do. */
export function instantOf(zone: string, wall: number): number {
  const early = wall - offsetAt(zone, wall - day);
  const late = wall - offsetAt(zone, wall + day);
  const found = [early, late].filter((instant) => instant + offsetAt(zone, instant) === wall);
  return found.length > 0 ? Math.min(...found) : early;
}

function formatterOf(zone: string): Intl.DateTimeFormat {
  const known = formatters.get(zone);
  if (known !== undefined) return known;
  const formatter = new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formatters.set(zone, formatter);
  return formatter;
}
