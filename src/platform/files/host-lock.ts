import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { claimAlone, otherClaim } from './folder-owner.ts';
import { safeName } from './safe-name.ts';

export type HostLock = ReturnType<typeof createHostLock>;

const longestPauseMs = 200;

/** Keeps two deploys from one place, also of two processes. @param folder local, and the same for all that deploy to the same places */
export function createHostLock(folder: string) {
  return {
    /** Waits for another holder; a killed process is none. @param key a directory, say @param signal cancels the waiting, not the work */
    async hold<Result>(key: string, signal: AbortSignal, act: () => Promise<Result>): Promise<Result> {
      const release = await take(join(folder, safeName(key)), signal);
      try {
        return await act();
      } finally {
        await release();
      }
    },
  };
}

async function take(place: string, signal: AbortSignal): Promise<() => Promise<void>> {
  await mkdir(place, { recursive: true });
  for (;;) {
    signal.throwIfAborted();
    // Who only waits makes no claim, so that it does not make others step back.
    const { release } = (await otherClaim(place)) === undefined ? await claimAlone(place) : {};
    if (release !== undefined) return release;
    await pause(Math.random() * longestPauseMs, undefined, { signal }).catch(() => undefined);
  }
}
