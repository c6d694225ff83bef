/** One run of a rollout, as the lane knows it. */
export interface RolloutRun {
  readonly rollout: string;
  readonly runId: string;
}
