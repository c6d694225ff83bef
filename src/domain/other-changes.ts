import { inert } from './inert-text.ts';
import type { OtherChanges } from './outcomes.ts';

/** `web: command changed (1a2b3c4d5e6f by Bob: try an option)`: in one line, for people; at most some 1,500 characters. */
export function toldChanges({ changes, more = 0, commits }: OtherChanges): string {
  const shown = changes.slice(0, 8);
  const left = changes.length - shown.length + more;
  const brought = broughtBy(commits);
  return `${shown.map((change) => inert(change, 120)).join('; ')}${left === 0 ? '' : ` and ${left} more`}${brought === '' ? '' : ` (${brought})`}`;
}

/** Empty if nobody knows. */
function broughtBy(commits: OtherChanges['commits']): string {
  const shown = commits
    .slice(0, 4)
    .map(({ commit, author, subject }) => `${commit} by ${inert(author, 60)}: ${inert(subject, 80)}`);
  return [...shown, ...(commits.length > shown.length ? [`${commits.length - shown.length} more commits`] : [])].join(', ');
}
