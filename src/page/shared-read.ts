/**
 * Reads that many ask for at the same time: of one key there is one read under way, and what it gave serves those who ask a moment later,
 * until it is to be forgotten, because something was changed since it began.
 */
export function createSharedRead<Result>(read: (key: string) => Promise<Result>, freshForMs: number) {
  const reads = new Map<string, Promise<Result>>();
  const ask = (key: string): Promise<Result> => {
    const known = reads.get(key);
    if (known !== undefined) return known;
    const started = read(key);
    reads.set(key, started);
    const forget = (): void => {
      if (reads.get(key) === started) reads.delete(key);
    };
    started.then(() => setTimeout(forget, freshForMs).unref(), forget);
    return started;
  };
  return Object.assign(ask, { forget: () => reads.clear() });
}
