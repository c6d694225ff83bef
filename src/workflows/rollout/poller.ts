import { condition, setHandler } from '@temporalio/workflow';
import { progressSignal } from '../../contracts/messages.ts';

const shortestPauseMs = 5_000;
const longestPauseMs = 15 * 60_000;

/** One wait for something outside that is looked at again and again: often at first, then ever more rarely, and at once when nudged. */
export interface Wait {
  /** To be called before each look, so that a nudge which comes while we look is not lost. */
  look(): void;
  /** Until a nudge, until it is over by itself, or until it is time to look again. @param atMost milliseconds */
  pause(isOver: () => boolean, atMost?: number): Promise<void>;
  readonly sinceMs: number;
}

/** Receives the nudges of a run, for whichever wait is going on. */
export class Patience {
  #nudges = 0;

  constructor() {
    setHandler(progressSignal, () => {
      this.#nudges += 1;
    });
  }

  begin(): Wait {
    const sinceMs = Date.now();
    let seen = this.#nudges;
    return {
      sinceMs,
      look: () => {
        seen = this.#nudges;
      },
      pause: async (isOver, atMost = longestPauseMs) => {
        // A quarter of the time waited so far: after an hour a look is at most a quarter of an hour late, and history stays short.
        const grown = Math.min(longestPauseMs, Math.max(shortestPauseMs, (Date.now() - sinceMs) / 4));
        await condition(() => this.#nudges > seen || isOver(), Math.max(1, Math.min(grown, atMost)));
      },
    };
  }
}
