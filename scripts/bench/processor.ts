import { readFileSync } from 'node:fs';

/** What Linux says of a process. It counts processor time in hundredths of a second on every machine. */
const ticksPerSecond = 100;

export interface ProcessorTimes {
  /** User and system time of all its threads so far, in seconds. */
  readonly own: number;
  /** That of its children that have ended, and of theirs. */
  readonly children: number;
}

export function processorTimes(pid: number | 'self'): ProcessorTimes {
  return timesIn(readFileSync(`/proc/${pid}/stat`, 'utf8'));
}

/** @param stat `/proc/PID/stat`: see proc_pid_stat(5) */
export function timesIn(stat: string): ProcessorTimes {
  // The second field is the program's name in brackets and may hold anything; the 14th to 17th are the times.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user = 0, system = 0, childrenUser = 0, childrenSystem = 0] = fields.slice(11, 15).map(Number);
  return { own: (user + system) / ticksPerSecond, children: (childrenUser + childrenSystem) / ticksPerSecond };
}

/** What is in memory of it, with the programs and libraries that it maps: in MiB, as most tools show it. */
export function residentMebibytes(pid: number): number {
  const [, kibibytes] = /^Rss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')) ?? [];
  if (kibibytes === undefined) throw new Error(`expected Rss in /proc/${pid}/smaps_rollup, found none`);
  return Number(kibibytes) / 1024;
}
