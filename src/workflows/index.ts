/** The workflows that a worker registers with Temporal: the names of these functions are the workflow types. */
export { build } from './build/build.ts';
export { globalHold } from './global-hold.ts';
export { lane } from './lane/lane.ts';
export { mergeQueue } from './merge-queue.ts';
export { notify } from './notify.ts';
export { passThrough } from './pass-through.ts';
export { redeliver } from './redeliver.ts';
export { resolve } from './resolve.ts';
export { rollback } from './rollback.ts';
export { rollout } from './rollout/rollout.ts';
export { search } from './search.ts';
export { searchBuilds } from './search-builds.ts';
