/**
 * What an operator can ask Landfall and have done, for the command and whatever else asks: plain data in and out. Each input has a schema;
 * whatever changes something takes an `Actor`; what goes wrong is an `OperationError`.
 */
export type { Actor } from './actor.ts';
export { type AuditQuery, type AuditReading, auditQuery, readAudit } from './audit.ts';
export { readConfiguration } from './configuration.ts';
export { type TemporalTarget, temporalTarget, withClient } from './connection.ts';
export { type DecisionInput, type DecisionVerb, decide, decisionInput } from './decide.ts';
export { Ambiguous, InvalidConfiguration, InvalidInput, NotFound, OperationError, Refused, Unreachable } from './errors.ts';
export { parseInput, serviceInput } from './input.ts';
export { showLane } from './lane.ts';
export {
  commandGlobalHold,
  commandLane,
  type GlobalHoldCommand,
  globalHoldInput,
  type LaneAnswer,
  type LaneCommand,
  type LaneCommandResult,
  laneCommandInput,
} from './lane-commands.ts';
export { isTryOf, type Retry, type RolloutNow, readRollout } from './rollout.ts';
export { findRollout, listRollouts, type RolloutFilter, type RolloutRow, rolloutFilter, rolloutPrefix } from './rollouts.ts';
export type { Started } from './start-rollouts.ts';
export { planTriggers, type Trigger, type TriggerInput, trigger, triggerInput } from './trigger.ts';
