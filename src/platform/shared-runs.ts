interface SharedRun<Result> {
  readonly result: Promise<Result>;
  readonly controller: AbortController;
  waiting: number;
}

/** Work that several ask for at the same time is done once. It is stopped when nobody waits for it any more. */
export class SharedRuns<Result> {
  readonly #running = new Map<string, SharedRun<Result>>();

  /**
   * @param key the same for the same work
   * @param start called if nobody does this work yet; its signal says that nobody wants the result any more
   * @param signal this caller no longer wants it: rejects with the signal's reason, for the last caller once the work has stopped
   */
  async run(key: string, start: (signal: AbortSignal) => Promise<Result>, signal: AbortSignal): Promise<Result> {
    signal.throwIfAborted();
    const run = this.#running.get(key) ?? this.#start(key, start);
    run.waiting += 1;
    const done = new AbortController();
    try {
      return await Promise.race([run.result, rejectionBy(signal, done.signal)]);
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
    // Whoever asks from now on starts anew.
    this.#running.delete(key);
    run.controller.abort();
    // Its own failure is the stop that was asked for: nobody is left to hear of it.
    await Promise.allSettled([run.result]);
  }
}

/** @param done that nobody looks at the result any more: the signal may live long, and would keep a listener for each run */
function rejectionBy(signal: AbortSignal, done: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true, signal: done });
  });
}
