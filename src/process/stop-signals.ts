import type { Log } from '../domain/log.ts';

/** What npm passes on to us, and the terminal has sent us already, comes within this time after the first. */
const sameWithinMs = 1_000;

export interface StopSignals {
  /** Resolves with the first signal that asks the process to stop. */
  readonly asked: Promise<NodeJS.Signals>;
  /** From then on what happens is in the log. */
  tellBy(log: Pick<Log, 'info' | 'warn'>): void;
}

/**
 * Listens without a gap: a signal that nobody listens to ends the process at once, and leaves what it started running. Whoever asks
 * twice does not want to wait for the drain; what it has started ends with it. A signal right after the first one is the same: Ctrl-C goes to
 * all of a terminal's processes, and npm, which is one of them, passes it on.
 */
export function stopAsked(now: () => number = Date.now): StopSignals {
  let log: Pick<Log, 'info' | 'warn'> | undefined;
  let askedAt: number | undefined;
  const asked = new Promise<NodeJS.Signals>((resolve) => {
    // A terminal that is closed says so by a signal that asks anybody else to read their configuration again.
    if (!process.stdout.isTTY) process.on('SIGHUP', () => undefined);
    for (const signal of ['SIGTERM', 'SIGINT', ...(process.stdout.isTTY ? (['SIGHUP'] as const) : [])] as const) {
      process.on(signal, () => {
        if (askedAt !== undefined && now() - askedAt < sameWithinMs) return;
        if (askedAt !== undefined) {
          log?.warn({ signal }, 'stopping at once: what was under way goes on at the next start');
          process.exit(1);
        }
        askedAt = now();
        log?.info(
          { signal },
          'stopping: no more work is taken, and what is under way gets half a minute; once more stops at once',
        );
        resolve(signal);
      });
    }
  });
  return {
    asked,
    tellBy: (given) => {
      log = given;
    },
  };
}
