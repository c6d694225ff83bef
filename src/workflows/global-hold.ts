import {
  allHandlersFinished,
  condition,
  log,
  makeContinueAsNewFunc,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertMemo,
} from '@temporalio/workflow';
import type { FollowUpActivities } from '../contracts/activities/lane.ts';
import {
  type GlobalHoldStart,
  type GlobalHoldState,
  globalHoldQuery,
  globalHoldUpdate,
  globalReleaseUpdate,
  type LaneDecision,
  type ProgressNote,
} from '../contracts/messages.ts';
import { DecisionRefused } from '../domain/lane/refused.ts';
import { attributionOf } from './attribution.ts';
import { recordDecision } from './audit.ts';
import { failureOf } from './failure.ts';
import { historyIsLong } from './long-history.ts';
import { refusing } from './refusing.ts';

const { nudgeWaiting } = proxyActivities<Pick<FollowUpActivities, 'nudgeWaiting'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  // Rollouts find out by themselves as well, only later.
  retry: { initialInterval: '1s', maximumAttempts: 10 },
});

const everyService = { service: null, repository: null };

/**
 * The global hold: while it is set, no service is changed. It is kept in the memo, so that it can be read even when no worker of ours runs.
 * No such workflow: no hold.
 */
export async function globalHold({ state = {}, pendingProgress, longestHistory = 1_000 }: GlobalHoldStart): Promise<never> {
  const now: { state: GlobalHoldState; pendingProgress: ProgressNote | undefined } = { state, pendingProgress };
  const set = (next: GlobalHoldState, what: string): GlobalHoldState => {
    now.state = next;
    now.pendingProgress = { what };
    upsertMemo(memoOf(next));
    return next;
  };
  setHandler(globalHoldQuery, () => now.state);
  setHandler(globalHoldUpdate, (typed) => {
    const hold = attributionOf(typed);
    recordDecision('hold', hold, everyService);
    return set({ hold }, `everything was held by ${hold.by}`);
  });
  const mayRelease = refusing(() => {
    if (now.state.hold === undefined) throw new DecisionRefused('nothing to release: there is no global hold');
  });
  setHandler(
    globalReleaseUpdate,
    (typed: LaneDecision) => {
      mayRelease();
      const author = attributionOf(typed);
      recordDecision('release', author, everyService);
      return set({}, `everything was released by ${author.by}`);
    },
    { validator: (_typed: LaneDecision) => mayRelease() },
  );
  for (;;) {
    await condition(() => now.pendingProgress !== undefined || historyIsLong(longestHistory));
    if (now.pendingProgress !== undefined) {
      const { pendingProgress: progress } = now;
      now.pendingProgress = undefined;
      await tellWaiting(progress);
    } else {
      await condition(allHandlersFinished);
      if (now.pendingProgress === undefined) await again(now.state, longestHistory);
    }
  }
}

/** Waiting rollouts that could not be told go on later, at their next poll: people see that, and it is no reason to fail. */
async function tellWaiting(progress: ProgressNote): Promise<void> {
  try {
    await nudgeWaiting(progress);
    setCurrentDetails(progress.what);
  } catch (error) {
    const { message } = failureOf(error);
    log.warn('waiting rollouts were not told, and go on at their next poll', { what: progress.what, message });
    setCurrentDetails(`${progress.what}; waiting rollouts were not told, and go on at their next poll: ${message}`);
  }
}

function again(state: GlobalHoldState, longestHistory: number): Promise<never> {
  return makeContinueAsNewFunc<typeof globalHold>({ memo: memoOf(state) })({ state, longestHistory });
}

function memoOf({ hold }: GlobalHoldState): Record<string, unknown> {
  return { hold: hold ?? null };
}
