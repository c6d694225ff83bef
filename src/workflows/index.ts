/** What a worker runs: the names of these functions are the workflow types. */
export { forward } from './forward.ts';
export { lane } from './lane.ts';
export { line } from './line.ts';
export { mergeQueue } from './merge-queue.ts';
export { notify } from './notify.ts';
export { redeliver } from './redeliver.ts';
export { resolve } from './resolve.ts';
export { rollback } from './rollback.ts';
export { rollout } from './rollout.ts';
export { search } from './search.ts';
