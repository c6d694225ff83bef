/** What a worker runs: the names of these functions are the workflow types. */
export { lane } from './lane.ts';
export { line } from './line.ts';
export { mergeQueue } from './merge-queue.ts';
export { notify } from './notify.ts';
export { resolve } from './resolve.ts';
export { rollback } from './rollback.ts';
export { rollout } from './rollout.ts';
