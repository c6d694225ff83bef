import type { Proposal } from '../../domain/outcomes.ts';
import { type ComponentChild, el, h, p, type VNode } from '../html.ts';

/** What the change says in place of what was there, place by place. */
export function changeDiff({ before, after, perFile = [] }: Proposal, service: string): ComponentChild {
  if (before === undefined || after === undefined || after.length === 0)
    return p('quiet', 'The values are in the proposal itself.');
  const lines = after.flatMap((value, index) => placeLines(before[index], value));
  const files = perFile.length > 1 ? `, in ${perFile.length} files` : '';
  const attributes = { tabindex: 0, role: 'group', 'aria-label': `Difference of ${service}${files}` };
  return el('pre', 'diff', attributes, ...lines);
}

function placeLines(before: string | undefined, after: string): VNode[] {
  const removed = before === undefined ? [] : [h('del', null, `- ${before}\n`)];
  return [...removed, h('ins', null, `+ ${after}\n`)];
}
