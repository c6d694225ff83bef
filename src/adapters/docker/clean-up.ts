/** Arranges what is to be undone in the end. Called before the act that it undoes, which may be cut off half-way. */
export type Later = (what: string, undo: () => Promise<void>) => void;

/**
 * Runs `body`, then everything that it arranged, last first, however it ended. What fails while undoing is reported, never thrown: it
 * neither hides the first error nor keeps the rest from being undone.
 */
export async function withCleanUp<Result>(
  report: (what: string, error: unknown) => void,
  body: (later: Later) => Promise<Result>,
): Promise<Result> {
  const arranged: { what: string; undo: () => Promise<void> }[] = [];
  try {
    return await body((what, undo) => arranged.push({ what, undo }));
  } finally {
    for (const { what, undo } of arranged.reverse()) {
      try {
        await undo();
      } catch (error) {
        report(what, error);
      }
    }
  }
}
