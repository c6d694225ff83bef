import { readFileSync } from 'node:fs';

/**
 * Milliseconds that this process's main thread has been at work: what a busy machine does beside it does not count, and neither do other
 * threads. Where there is no /proc, the time of the whole process.
 */
export function busyMs(): number {
  if (process.platform === 'linux') {
    const [nanoseconds = ''] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ', 1);
    return Number(nanoseconds) / 1e6;
  }
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The longest that the event loop was kept by one piece of work while `act` ran, in milliseconds of processor time. */
export async function longestPause(act: () => unknown): Promise<number> {
  let before = busyMs();
  let longest = 0;
  const look = () => {
    const now = busyMs();
    longest = Math.max(longest, now - before);
    before = now;
  };
  const turns = setInterval(look, 1);
  try {
    await act();
    look();
    return longest;
  } finally {
    clearInterval(turns);
  }
}
