import assert from 'node:assert/strict';
import { busyMs, processorPace } from '../../scripts/test/pace.mjs';

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

/** Fails where something took longer than it may on a machine as quick as the one that the limit was set on. Both in processor time. */
export function assertWithin(limitMs: number, tookMs: number, what: string): void {
  if (tookMs < limitMs) return;
  const limit = limitMs * processorPace();
  assert.ok(tookMs < limit, `${what}: ${Math.round(tookMs)} ms of the processor, expected less than ${Math.round(limit)}`);
}
