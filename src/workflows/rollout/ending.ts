import { ApplicationFailure } from '@temporalio/workflow';
import type { End } from '../../domain/rollout-state.ts';

export interface Ending {
  readonly end: End;
  readonly reason?: string;
  /** Where it ended, where that was in one stage. */
  readonly stage?: string;
  /** The operator who rejected the digest, which quarantines it. */
  readonly quarantinedBy?: string;
  /** Superseded, because the registry says that the tag points elsewhere. */
  readonly moved?: boolean;
}

const type = 'RolloutEnded';

/**
 * Ends the rollout from within a step.
 * @throws always: what `endingIn` understands
 */
export function endRollout(ending: Ending): never {
  throw ApplicationFailure.create({ type, message: ending.reason ?? ending.end, nonRetryable: true, details: [ending] });
}

export function endingIn(error: unknown): Ending | undefined {
  return error instanceof ApplicationFailure && error.type === type ? (error.details?.[0] as Ending) : undefined;
}
