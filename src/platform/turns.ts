/** One act after the other for each key, in the order of asking; acts of other keys do not wait. One that fails keeps nobody from theirs. */
export function createTurns() {
  const last = new Map<string, Promise<void>>();
  return async <Result>(key: string, act: () => Promise<Result>): Promise<Result> => {
    const result = (last.get(key) ?? Promise.resolve()).then(act);
    // The one who asked sees how it went; the next one only waits for the end.
    const over = result.then(
      () => {},
      () => {},
    );
    last.set(key, over);
    try {
      return await result;
    } finally {
      if (last.get(key) === over) last.delete(key);
    }
  };
}
