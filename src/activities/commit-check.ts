import type { CommitCheck } from '../probes/controllers/controller.ts';
import type { Dependencies } from './dependencies.ts';

/** A forge that does not answer is asked again only after this. */
const askAgainMs = 15_000;

/**
 * Whether a commit is ours or came after it, by the forge where the repository lives; each commit is asked for once. One of another
 * repository, or of another line than ours, nobody can tell, and neither can a host that has no access to the forge.
 */
export function createCommitCheck(forgeFor: Dependencies['forgeFor'], repository: string, ours: string): CommitCheck {
  const known = new Map<string, boolean | undefined>();
  let askAt = 0;
  return async (found) => {
    if (found === ours) return true;
    if (known.has(found) || performance.now() < askAt) return known.get(found);
    try {
      const { commits, behindBy } = await forgeFor(repository).compare(repository, ours, found);
      const isApart = behindBy > 0 && commits.length > 0;
      known.set(found, isApart ? undefined : behindBy === 0);
    } catch {
      askAt = performance.now() + askAgainMs;
    }
    return known.get(found);
  };
}
