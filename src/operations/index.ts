/**
 * What an operator can ask Landfall and have done, for the command and whatever else asks: plain data in and out. Each input has a schema;
 * whatever changes something takes an `Actor`; what goes wrong is an `OperationError`.
 */
export * from './audit.ts';
export * from './connection.ts';
export * from './decide.ts';
export * from './errors.ts';
export * from './follow.ts';
export * from './input.ts';
export * from './lane.ts';
export * from './rollouts.ts';
export * from './trigger.ts';
export * from './verify-audit.ts';
