import type { RolloutStatus } from './rollout-state.ts';

/** A rollout that has not ended, as far as figures need it. */
export interface OpenRollout {
  readonly service: string;
  readonly status: RolloutStatus;
  /** A person has to decide: about a failure, or on an approval. */
  readonly decision?: 'blocked' | 'approval';
  /** Since when it is like that; ISO 8601, UTC. */
  readonly since: string;
}
