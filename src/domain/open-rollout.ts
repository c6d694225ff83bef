import type { RolloutStatus } from './rollout-state.ts';

/** A rollout, or a build, that has not ended, as far as figures need it. */
export interface OpenRollout {
  readonly service: string;
  /** It waits in no lane, and a person decides about it as about a rollout. */
  readonly isBuild: boolean;
  readonly status: RolloutStatus;
  /** A person has to decide: about a failure, or on an approval. */
  readonly decision?: 'blocked' | 'approval';
  /** Since when it is like that; ISO 8601, UTC. */
  readonly since: string;
}
