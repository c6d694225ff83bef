/**
 * Arranges what is to be undone in the end. Called before the act that it undoes, which may be cut off half-way.
 * @param options `isAwaited: false`: it is started in its turn but not awaited; for what takes long and blocks nothing
 */
export type CleanUpLater = (what: string, undo: () => Promise<void>, options?: { readonly isAwaited: boolean }) => void;

/**
 * Runs `body`, then everything that it arranged, last first, however it ended. What fails while undoing is reported, never thrown: it
 * neither hides the first error nor keeps the rest from being undone.
 */
export async function withCleanUp<Result>(
  report: (what: string, error: unknown) => void,
  body: (later: CleanUpLater) => Promise<Result>,
): Promise<Result> {
  const arranged: { undoOrReport: () => Promise<void>; isAwaited: boolean }[] = [];
  const later: CleanUpLater = (what, undo, { isAwaited } = { isAwaited: true }) => {
    const undoOrReport = async (): Promise<void> => {
      try {
        await undo();
      } catch (error) {
        report(what, error);
      }
    };
    arranged.push({ undoOrReport, isAwaited });
  };
  try {
    return await body(later);
  } finally {
    for (const { undoOrReport, isAwaited } of arranged.reverse()) {
      const undone = undoOrReport();
      if (isAwaited) await undone;
    }
  }
}
