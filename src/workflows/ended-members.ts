import { condition, proxyActivities, sleep } from '@temporalio/workflow';
import type { FollowUpActivities } from '../contracts/activities/lane.ts';
import type { RolloutRun } from '../domain/lane/run.ts';

const { findEnded } = proxyActivities<Pick<FollowUpActivities, 'findEnded'>>({
  startToCloseTimeout: '1 minute',
  summary: 'do the rollouts that hold or wait for a turn still run?',
});

/** The rollouts that hold or wait for a turn. */
export interface Members {
  all(): readonly RolloutRun[];
  someoneWaits(): boolean;
  forget(ended: RolloutRun): void;
}

/** While somebody waits, those that have ended are forgotten: a rollout that was terminated never blocks others. */
export async function forgetEndedWhileWaiting(members: Members, checkEveryMs: number): Promise<never> {
  for (;;) {
    await condition(() => members.someoneWaits());
    await forgetEnded(members);
    await sleep(checkEveryMs);
  }
}

export async function forgetEnded(members: Members): Promise<void> {
  for (const ended of await findEnded({ members: members.all() })) members.forget(ended);
}
