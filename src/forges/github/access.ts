import { answeredWith } from '../../platform/github/errors.ts';

/** What the token may read, or undefined if GitHub says that it may not (403), or hides it (404). */
export async function ifReadable<Answer>(ask: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await ask();
  } catch (error) {
    if (answeredWith(error, 403) || answeredWith(error, 404)) return undefined;
    throw error;
  }
}
