import { allHandlersFinished, condition, continueAsNew, getExternalWorkflowHandle, log, setHandler } from '@temporalio/workflow';
import {
  type MergeQueueStart,
  mergeQueueQuery,
  progressSignal,
  releaseMergeTurnUpdate,
  requestMergeTurnUpdate,
} from '../contracts/messages.ts';
import { leaveMergeTurns, type MergeTurns, takeMergeTurn } from '../domain/lane/merge-turns.ts';
import type { RolloutRun } from '../domain/lane/run.ts';
import { forgetEndedWhileWaiting, type Members } from './ended-members.ts';
import { historyIsLong } from './long-history.ts';

interface Queue {
  readonly turns: MergeTurns;
  /** Whose turn has come, and who gets a signal. */
  readonly next: RolloutRun[];
}

/** Merges into one base branch of one repository go one after the other, whichever services they are of. */
export async function mergeQueue(start: MergeQueueStart): Promise<never> {
  const { state, checkEveryMs = 60_000, longestHistory = 2_000 } = start;
  const queue: Queue = { turns: { ...state, waiting: [...(state?.waiting ?? [])] }, next: [] };
  setHandler(mergeQueueQuery, () => queue.turns);
  setHandler(requestMergeTurnUpdate, ({ rollout, runId }) => {
    const { behind, next } = takeMergeTurn(queue.turns, { rollout, runId });
    if (next !== undefined) queue.next.push(next);
    return behind === undefined ? { kind: 'granted' } : { kind: 'waiting', behind };
  });
  setHandler(releaseMergeTurnUpdate, ({ rollout, runId }) => leave(queue, { rollout, runId }));
  return await Promise.race([
    forgetEndedWhileWaiting(membersOf(queue), checkEveryMs),
    callTheNext(queue, { checkEveryMs, longestHistory }),
  ]);
}

function leave({ turns, next }: Queue, run: RolloutRun): void {
  const successor = leaveMergeTurns(turns, run);
  if (successor !== undefined) next.push(successor);
}

function membersOf(queue: Queue): Members {
  const { turns } = queue;
  return {
    all: () => (turns.holder === undefined ? turns.waiting : [turns.holder, ...turns.waiting]),
    someoneWaits: () => turns.waiting.length > 0,
    forget: (ended) => leave(queue, ended),
  };
}

/** Never ends, so that nobody can ask while it does. */
async function callTheNext(queue: Queue, settings: { checkEveryMs: number; longestHistory: number }): Promise<never> {
  const { turns, next } = queue;
  const isLong = (): boolean => historyIsLong(settings.longestHistory);
  for (;;) {
    await condition(() => next.length > 0 || isLong());
    for (let run = next.shift(); run !== undefined; run = next.shift()) await call(queue, run);
    if (!isLong()) continue;
    await condition(allHandlersFinished);
    if (next.length === 0) await continueAsNew<typeof mergeQueue>({ ...settings, state: turns });
  }
}

async function call(queue: Queue, run: RolloutRun): Promise<void> {
  try {
    await getExternalWorkflowHandle(run.rollout, run.runId).signal(progressSignal, { what: 'its turn to merge has come' });
  } catch (error) {
    log.warn('a rollout is gone without having given its turn to merge back', { rollout: run.rollout, error });
    leave(queue, run);
  }
}
