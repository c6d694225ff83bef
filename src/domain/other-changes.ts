import { inert } from './inert-text.ts';
import type { OtherChanges } from './outcomes.ts';

/** `web: command changed (1a2b3c4d5e6f by Bob: try an option)`: in one line, for people; at most some 1,500 characters. */
export function toldChanges({ changes, more, commits }: OtherChanges): string {
  const left = more === undefined ? '' : ` and ${more} more`;
  const shown = changes.slice(0, 8);
  const rest = changes.length > shown.length && more === undefined ? ` and ${changes.length - shown.length} more` : left;
  const brought = broughtBy(commits);
  return `${shown.map((change) => inert(change, 120)).join('; ')}${rest}${brought === '' ? '' : ` (${brought})`}`;
}

/** `1a2b3c4d5e6f by Bob: try an option, ...`; empty if nobody knows. */
export function broughtBy(commits: OtherChanges['commits']): string {
  const shown = commits
    .slice(0, 4)
    .map(({ commit, author, subject }) => `${commit} by ${inert(author, 60)}: ${inert(subject, 80)}`);
  return [...shown, ...(commits.length > shown.length ? [`${commits.length - shown.length} more commits`] : [])].join(', ');
}
