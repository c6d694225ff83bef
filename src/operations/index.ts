/**
 * What an operator can ask Landfall and have done, for the command and whatever else asks: plain data in and out. Each input has a schema;
 * whatever changes something takes an `Actor`; what goes wrong is an `OperationError`.
 */
export * from './audit.ts';
export * from './build-story.ts';
export * from './builds.ts';
export * from './connection.ts';
export * from './decide.ts';
export * from './errors.ts';
export * from './explain-image.ts';
export * from './figures.ts';
export * from './find-rollout.ts';
export * from './follow.ts';
export * from './following.ts';
export * from './inputs.ts';
export * from './lane.ts';
export * from './lane-terms.ts';
export * from './newer-plan.ts';
export * from './open-rollouts.ts';
export type * from './operations.ts';
export * from './overview.ts';
export * from './rollout-page.ts';
export * from './rollout-progress.ts';
export * from './rollout-story.ts';
export * from './rollouts.ts';
export * from './stage-overview.ts';
export * from './targets.ts';
export * from './temporal-diagnosis.ts';
export * from './temporal-operations.ts';
export * from './trigger.ts';
export * from './verify-audit.ts';
