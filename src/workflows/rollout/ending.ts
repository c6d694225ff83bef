import { ApplicationFailure } from '@temporalio/workflow';
import type { End } from '../../domain/rollout-state.ts';

/** How a rollout ends, and why. */
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

/**
 * What became of one stage: the rollout ends there; `reached`: it has the image now; `skipped`: nothing was brought to it. With the last
 * two, the next stage may begin.
 */
export type StageOutcome = Ending | 'reached' | 'skipped';

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
