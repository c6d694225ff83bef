import { continueAsNew, getExternalWorkflowHandle, log, setHandler } from '@temporalio/workflow';
import {
  type MergeQueueStart,
  type MergeTurnAnswer,
  mergeQueueQuery,
  progressSignal,
  releaseMergeTurnUpdate,
  requestMergeTurnUpdate,
} from '../contracts/messages.ts';
import { leaveMergeTurns, type MergeTurns, takeMergeTurn } from '../domain/lane/merge-turns.ts';
import type { RolloutRun } from '../domain/lane/state.ts';
import { answerUpdate, forgetEndedWhileWaiting, sendUntilLong } from './long-lived.ts';

/** Merges into one base branch of one repository go one after the other, whichever services they are of. */
export async function mergeQueue(start: MergeQueueStart): Promise<never> {
  const { state, checkEveryMs = 60_000, longestHistory = 2_000 } = start;
  const turns: MergeTurns = { ...state, waiting: [...(state?.waiting ?? [])] };
  /** Whose turn has come, and who gets a signal. */
  const called = [...(start.called ?? [])];
  const call = (next: RolloutRun | undefined): void => {
    if (next !== undefined) called.push(next);
  };
  const leave = ({ rollout, runId }: RolloutRun) => call(leaveMergeTurns(turns, { rollout, runId }));
  setHandler(mergeQueueQuery, () => turns);
  answerUpdate(requestMergeTurnUpdate, ({ rollout, runId }): MergeTurnAnswer => {
    const { behind, next } = takeMergeTurn(turns, { rollout, runId });
    call(next);
    return behind === undefined ? { kind: 'granted' } : { kind: 'waiting', behind };
  });
  answerUpdate(releaseMergeTurnUpdate, leave);
  const members = {
    all: () => (turns.holder === undefined ? turns.waiting : [turns.holder, ...turns.waiting]),
    someoneWaits: () => turns.waiting.length > 0,
    forget: leave,
  };
  const messages = {
    areLeft: () => called.length > 0,
    sendNext: async () => {
      const run = called.shift();
      if (run !== undefined) await signalTurn(run, leave);
    },
  };
  // Never ends, so that nobody can ask while it does.
  const again = () => continueAsNew<typeof mergeQueue>({ checkEveryMs, longestHistory, state: turns, called });
  return await Promise.race([forgetEndedWhileWaiting(members, checkEveryMs), sendUntilLong(messages, longestHistory, again)]);
}

async function signalTurn(run: RolloutRun, leave: (run: RolloutRun) => void): Promise<void> {
  try {
    await getExternalWorkflowHandle(run.rollout, run.runId).signal(progressSignal, { what: 'its turn to merge has come' });
  } catch (error) {
    log.warn('a rollout is gone without having given its turn to merge back', { rollout: run.rollout, error });
    leave(run);
  }
}
