import {
  allHandlersFinished,
  condition,
  makeContinueAsNewFunc,
  proxyActivities,
  setHandler,
  upsertMemo,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../contracts/activities/index.ts';
import {
  type LaneDecision,
  type LineStart,
  type LineState,
  lineQuery,
  type Progress,
  resumeLineUpdate,
  stopLineUpdate,
} from '../contracts/messages.ts';
import { Refused } from '../domain/lane/refused.ts';
import { nameOfPerson, typedName, typedReason } from '../domain/person.ts';
import { recordDecision } from './audit.ts';
import { refusing } from './refusing.ts';

const { nudgeWaiting } = proxyActivities<Pick<Activities, 'nudgeWaiting'>>({
  startToCloseTimeout: '5m',
  heartbeatTimeout: '30s',
  // They look by themselves as well, only later.
  retry: { initialInterval: '1s', maximumAttempts: 10 },
});

const everyService = { service: null, repository: null };

/**
 * Whether anything may go out at all, of any service. What was said stands in the memo, so that whoever is about to change something
 * learns it without a worker of ours. Where this workflow does not run, nothing is stopped.
 */
export async function line({ state = {}, untold, longestHistory = 1_000 }: LineStart): Promise<never> {
  const now: { state: LineState; untold: Progress | undefined } = { state, untold };
  const say = (next: LineState, what: string): LineState => {
    now.state = next;
    now.untold = { what };
    upsertMemo(memoOf(next));
    return next;
  };
  setHandler(lineQuery, () => now.state);
  setHandler(stopLineUpdate, (said) => {
    const hold = holdOf(said);
    recordDecision('stop', hold, everyService);
    return say({ hold }, `the line was stopped by ${hold.by}`);
  });
  const mayResume = refusing(() => {
    if (now.state.hold === undefined) throw new Refused('nothing to resume: the line is not stopped');
  });
  setHandler(
    resumeLineUpdate,
    (said: LaneDecision) => {
      mayResume();
      const word = holdOf(said);
      recordDecision('resume', word, everyService);
      return say({}, `the line was resumed by ${word.by}`);
    },
    { validator: (_said: LaneDecision) => mayResume() },
  );
  for (;;) {
    await condition(() => now.untold !== undefined || historyIsLong(longestHistory));
    if (now.untold !== undefined) {
      const { untold: progress } = now;
      now.untold = undefined;
      await nudgeWaiting(progress).catch(() => undefined);
    } else {
      await condition(allHandlersFinished);
      if (now.untold === undefined) await again(now.state, longestHistory);
    }
  }
}

function again(state: LineState, longestHistory: number): Promise<never> {
  return makeContinueAsNewFunc<typeof line>({ memo: memoOf(state) })({ state, longestHistory });
}

function memoOf({ hold }: LineState): Record<string, unknown> {
  return { hold: hold ?? null };
}

function holdOf(said: LaneDecision | undefined): NonNullable<LineState['hold']> {
  const by = nameOfPerson({ by: typedName(said?.by), verified: false });
  const reason = typedReason(said?.reason);
  return { by, ...(reason !== '' && { reason }), at: new Date().toISOString() };
}

function historyIsLong(longestHistory: number): boolean {
  return workflowInfo().historyLength > longestHistory || workflowInfo().continueAsNewSuggested;
}
