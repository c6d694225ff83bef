/**
 * Listens without a gap: a signal that nobody listens to ends the process at once, and leaves what it started running.
 * @returns resolves with the first signal that asks the process to stop; whoever asks twice does not want to wait for the drain
 */
export function stopAsked(): Promise<NodeJS.Signals> {
  return new Promise((asked) => {
    let isAsked = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (isAsked) process.exit(1);
        isAsked = true;
        asked(signal);
      });
    }
  });
}
