const minuteMs = 60_000;

/**
 * Does something now, and a minute (or so long) after it is done again.
 * @param failed is told of the first of several failures in a row: what is never there, such as Docker in a cluster, needs no line each minute
 */
export function everyMinute(act: () => Promise<unknown>, failed: (error: unknown) => void, everyMs = minuteMs) {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let stopped = false;
  let isFailing = false;

  function start(): void {
    running = act()
      .then(() => {
        isFailing = false;
      })
      .catch((error: unknown) => {
        if (!isFailing) failed(error);
        isFailing = true;
      })
      .then(() => {
        if (!stopped) timer = setTimeout(start, everyMs).unref();
      });
  }

  /** Ends it, once what runs is done. */
  async function stop(): Promise<void> {
    stopped = true;
    clearTimeout(timer);
    await running;
  }

  return { start, stop };
}
