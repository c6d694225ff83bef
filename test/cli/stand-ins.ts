import { taskQueues } from '../../src/contracts/start-options.ts';

/** Workers of rollouts and lanes that do nothing but answer operators: see `runWorkers`. */
export const standInRollouts = { taskQueue: taskQueues.main, entry: 'test/cli/stand-in-workflows.ts' };
export const standInLanes = { taskQueue: taskQueues.lanes, entry: 'test/cli/stand-in-lanes.ts' };
