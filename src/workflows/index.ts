/** What a worker runs: the names of these functions are the workflow types. */
export { lane } from './lane.ts';
export { resolve } from './resolve.ts';
export { rollout } from './rollout.ts';
