import { once } from 'node:events';

interface SharedRun<Result> {
  readonly result: Promise<Result>;
  readonly controller: AbortController;
  waiting: number;
}

/** Work that several callers ask for at the same time is done once. It is stopped when no caller waits for it any more. */
export class SharedRuns<Result> {
  readonly #running = new Map<string, SharedRun<Result>>();

  /**
   * @param key the same for the same work
   * @param start called if the work is not under way yet; its signal is aborted when no caller wants the result any more
   * @param signal this caller no longer wants it: rejects with the signal's reason, for the last caller once the work has stopped
   */
  async run(key: string, start: (signal: AbortSignal) => Promise<Result>, signal: AbortSignal): Promise<Result> {
    signal.throwIfAborted();
    const run = this.#running.get(key) ?? this.#start(key, start);
    run.waiting += 1;
    const done = new AbortController();
    try {
      // The signal may live long, and would otherwise keep a listener for each run.
      const aborted = once(signal, 'abort', { signal: done.signal }).then(() => Promise.reject(signal.reason));
      return await Promise.race([run.result, aborted]);
    } finally {
      done.abort();
      run.waiting -= 1;
      if (signal.aborted && run.waiting === 0) await this.#stop(key, run);
    }
  }

  #start(key: string, start: (signal: AbortSignal) => Promise<Result>): SharedRun<Result> {
    const controller = new AbortController();
    const run: SharedRun<Result> = { result: start(controller.signal), controller, waiting: 0 };
    this.#running.set(key, run);
    const forget = () => {
      if (this.#running.get(key) === run) this.#running.delete(key);
    };
    run.result.then(forget, forget);
    return run;
  }

  async #stop(key: string, run: SharedRun<Result>): Promise<void> {
    // Later callers start the work again.
    this.#running.delete(key);
    run.controller.abort();
    // Its failure is the stop that we asked for, and no caller is left.
    await Promise.allSettled([run.result]);
  }
}
