import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { makeClaim, otherClaim } from './folder-owner.ts';
import { safeName } from './safe-name.ts';

/** Keeps two deploys from one place, however many processes of the host there are. */
export interface HostLock {
  /**
   * Does something while holding the key, after waiting for another holder. A killed process does not hold it any more.
   * @param key for example a directory: the same for all that must not run at once
   * @param signal cancels the waiting, not the work
   */
  hold<Result>(key: string, signal: AbortSignal, act: () => Promise<Result>): Promise<Result>;
}

const longestPauseMs = 200;

/** @param folder on a local file system, the same for all processes that deploy to the same places */
export function createHostLock(folder: string): HostLock {
  return {
    async hold(key, signal, act) {
      const release = await take(join(folder, safeName(key)), signal);
      try {
        return await act();
      } finally {
        await release();
      }
    },
  };
}

/** See `ownFolder`: of two claims at once, at least one sees the other, and steps back. Here it comes again until it is alone. */
async function take(place: string, signal: AbortSignal): Promise<() => Promise<void>> {
  await mkdir(place, { recursive: true });
  for (;;) {
    signal.throwIfAborted();
    // Who only waits makes no claim, so that it does not make others step back.
    const claim = (await otherClaim(place)) === undefined ? await claimAlone(place) : undefined;
    if (claim !== undefined) return claim.release;
    await pause(Math.random() * longestPauseMs, undefined, { signal }).catch(() => undefined);
  }
}

async function claimAlone(place: string) {
  const claim = await makeClaim(place);
  try {
    if ((await otherClaim(place, claim.name)) === undefined) return claim;
  } catch (error) {
    await claim.release();
    throw error;
  }
  await claim.release();
  return undefined;
}
