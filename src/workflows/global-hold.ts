import {
  log,
  makeContinueAsNewFunc,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  upsertMemo,
  workflowInfo,
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
import { everyRun } from '../domain/decision-proof.ts';
import { DecisionRefused } from '../domain/lane/decisions.ts';
import { recordDecision } from './audit.ts';
import { answerUpdate, sendUntilLong } from './long-lived.ts';
import { attributionOf, DecisionCounter, refusing } from './operator-decision.ts';
import { failureOf } from './rollout/steps/take-step.ts';

const { nudgeWaiting } = proxyActivities<Pick<FollowUpActivities, 'nudgeWaiting'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  // Rollouts find out by themselves as well, only later.
  retry: { initialInterval: '1s', maximumAttempts: 10 },
});

const everyService = { service: null, repository: null };

/** While it is set, no service is changed. It is kept in the memo, so that it can be read without a worker. No such workflow: no hold. */
export async function globalHold({
  state = {},
  pendingProgress,
  longestHistory = 1_000,
  decided,
}: GlobalHoldStart): Promise<never> {
  const now: { state: GlobalHoldState; pendingProgress: ProgressNote | undefined } = { state, pendingProgress };
  const set = (next: GlobalHoldState, what: string): GlobalHoldState => {
    now.state = next;
    now.pendingProgress = { what };
    upsertMemo({ hold: next.hold ?? null });
    return next;
  };
  // It rises also where the workflow was terminated and begun anew: a proof of its earlier life counts for nothing.
  const counter = new DecisionCounter(() => everyService, decided ?? workflowInfo().startTime.getTime(), everyRun);
  const mayRelease = refusing(() => {
    if (now.state.hold === undefined) throw new DecisionRefused('nothing to release: there is no global hold');
  });
  setHandler(globalHoldQuery, () => now.state);
  answerUpdate(globalHoldUpdate, (typed) =>
    counter.withProof('hold', typed, (proven) => {
      const hold = attributionOf(typed, proven);
      recordDecision('hold', hold, everyService);
      return set({ hold }, `everything was held by ${hold.by}`);
    }),
  );
  const release = (typed: LaneDecision) =>
    counter.withProof('release', typed, (proven) => {
      mayRelease();
      const author = attributionOf(typed, proven);
      recordDecision('release', author, everyService);
      return set({}, `everything was released by ${author.by}`);
    });
  setHandler(globalReleaseUpdate, release, { validator: counter.validator('release', (_typed: LaneDecision) => mayRelease()) });
  const messages = {
    areLeft: () => now.pendingProgress !== undefined,
    sendNext: async () => {
      const { pendingProgress: progress } = now;
      now.pendingProgress = undefined;
      if (progress !== undefined) await tellWaiting(progress);
    },
  };
  const again = () => {
    const { state, pendingProgress } = now;
    return makeContinueAsNewFunc<typeof globalHold>({ memo: { hold: state.hold ?? null } })({
      ...{ state, longestHistory, decided: counter.decided },
      ...(pendingProgress && { pendingProgress }),
    });
  };
  return await sendUntilLong(messages, longestHistory, again);
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
