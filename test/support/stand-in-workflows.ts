import { condition, defineQuery, defineSignal, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import { grantSignal, progressSignal, supersedeSignal } from '../../src/contracts/messages.ts';
import { searchAttributes } from '../../src/contracts/start-options.ts';

export { globalHold } from '../../src/workflows/global-hold.ts';
/** Lanes, the global hold and merge queues as they are, with rollouts and rollbacks that only listen: tests speak for them. */
export { lane } from '../../src/workflows/lane/lane.ts';
export { mergeQueue } from '../../src/workflows/merge-queue.ts';

/** What was heard, one line each. */
export const heardQuery = defineQuery<string[]>('heard');
/** What it was started with. */
export const inputQuery = defineQuery<unknown>('input');
export const endSignal = defineSignal('end');

export async function rollout(input: { readonly status?: string } = {}): Promise<void> {
  const heard: string[] = [];
  let over = false;
  setHandler(grantSignal, ({ stage }) => void heard.push(`granted ${stage}`));
  setHandler(supersedeSignal, ({ by, where }) => {
    heard.push(`superseded by ${by} in ${typeof where === 'string' ? where : where.stage}`);
  });
  setHandler(progressSignal, ({ what }) => void heard.push(what));
  setHandler(heardQuery, () => heard);
  setHandler(inputQuery, () => input);
  setHandler(endSignal, () => {
    over = true;
  });
  if (input.status !== undefined) upsertSearchAttributes([{ key: searchAttributes.status, value: input.status }]);
  await condition(() => over);
}

export const rollback = rollout;
