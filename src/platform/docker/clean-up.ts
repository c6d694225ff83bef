/**
 * Arranges what is to be undone in the end. Called before the act that it undoes, which may be cut off half-way.
 * @param options `isAwaited: false`: it is started in its turn but not awaited; for what takes long and blocks nothing
 */
export type CleanUpLater = (what: string, undo: () => Promise<void>, options?: { readonly isAwaited: boolean }) => void;

/** Runs `body`, then what it arranged, last first, however it ended. What fails then is reported, never thrown: it hides no first error. */
export async function withCleanUp<Result>(
  report: (what: string, error: unknown) => void,
  body: (later: CleanUpLater) => Promise<Result>,
): Promise<Result> {
  const arranged: (() => Promise<void>)[] = [];
  const later: CleanUpLater = (what, undo, { isAwaited } = { isAwaited: true }) => {
    arranged.unshift(async () => {
      const undone = Promise.resolve()
        .then(undo)
        .catch((error: unknown) => report(what, error));
      if (isAwaited) await undone;
    });
  };
  try {
    return await body(later);
  } finally {
    for (const undo of arranged) await undo();
  }
}
