import { condition, setHandler } from '@temporalio/workflow';
import { progressSignal } from '../../contracts/messages.ts';

const shortestPauseMs = 5_000;
const longestPauseMs = 15 * 60_000;

/** Something outside that is asked again and again: often at first, then ever more rarely, and at once after a signal `progress`. */
export interface Backoff {
  /** To be called before each attempt, so that a signal which comes during it is not lost. */
  attempt(): void;
  /** Until a signal, until it is over, or until the next attempt is due. @param atMost milliseconds */
  pause(isOver: () => boolean, atMost?: number): Promise<void>;
  readonly sinceMs: number;
}

/** Receives the `progress` signals of a rollout, for whichever wait is going on. */
export class Poller {
  #signals = 0;

  handleSignals(): void {
    setHandler(progressSignal, () => {
      this.#signals += 1;
    });
  }

  backoff(): Backoff {
    const sinceMs = Date.now();
    let seen = this.#signals;
    return {
      sinceMs,
      attempt: () => {
        seen = this.#signals;
      },
      pause: async (isOver, atMost = longestPauseMs) => {
        // A quarter of the time waited so far: after an hour an attempt is at most a quarter of an hour late, and history stays short.
        const grown = Math.min(longestPauseMs, Math.max(shortestPauseMs, (Date.now() - sinceMs) / 4));
        await condition(() => this.#signals > seen || isOver(), Math.max(1, Math.min(grown, atMost)));
      },
    };
  }
}
