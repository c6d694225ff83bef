import {
  allHandlersFinished,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  log,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../contracts/activities/index.ts';
import {
  giveMergeTurnBackUpdate,
  type MergeQueueStart,
  mergeQueueQuery,
  progressSignal,
  takeMergeTurnUpdate,
} from '../contracts/messages.ts';
import { leaveMergeTurns, type MergeTurns, takeMergeTurn } from '../domain/lane/merge-turns.ts';
import type { Run } from '../domain/lane/state.ts';

const { findEnded } = proxyActivities<Pick<Activities, 'findEnded'>>({
  startToCloseTimeout: '1 minute',
  summary: 'do those that merge or wait to merge still run?',
});

interface Queue {
  readonly turns: MergeTurns;
  /** Whose turn has come, and who has to be told. */
  readonly next: Run[];
}

/** Merges into one base branch of one repository go one after the other, whichever services they are of. */
export async function mergeQueue(start: MergeQueueStart): Promise<never> {
  const { state, lookEveryMs = 60_000, longestHistory = 2_000 } = start;
  const queue: Queue = { turns: { ...state, waiting: [...(state?.waiting ?? [])] }, next: [] };
  setHandler(mergeQueueQuery, () => queue.turns);
  setHandler(takeMergeTurnUpdate, ({ rollout, runId }) => {
    const { behind, next } = takeMergeTurn(queue.turns, { rollout, runId });
    if (next !== undefined) queue.next.push(next);
    return behind === undefined ? { kind: 'granted' } : { kind: 'waiting', behind };
  });
  setHandler(giveMergeTurnBackUpdate, ({ rollout, runId }) => leave(queue, { rollout, runId }));
  return await Promise.race([freeTheDead(queue, lookEveryMs), callTheNext(queue, { lookEveryMs, longestHistory })]);
}

function leave({ turns, next }: Queue, run: Run): void {
  const successor = leaveMergeTurns(turns, run);
  if (successor !== undefined) next.push(successor);
}

async function freeTheDead(queue: Queue, lookEveryMs: number): Promise<never> {
  const { turns } = queue;
  for (;;) {
    await condition(() => turns.waiting.length > 0);
    await forgetTheDead(queue);
    await sleep(lookEveryMs);
  }
}

async function forgetTheDead(queue: Queue): Promise<void> {
  const { holder, waiting } = queue.turns;
  const members = holder === undefined ? waiting : [holder, ...waiting];
  for (const ended of await findEnded({ members })) leave(queue, ended);
}

/** Never ends, so that nobody can ask while it does. */
async function callTheNext(queue: Queue, settings: { lookEveryMs: number; longestHistory: number }): Promise<never> {
  const { turns, next } = queue;
  const isLong = (): boolean => workflowInfo().historyLength > settings.longestHistory || workflowInfo().continueAsNewSuggested;
  for (;;) {
    await condition(() => next.length > 0 || isLong());
    for (let run = next.shift(); run !== undefined; run = next.shift()) await call(queue, run);
    if (!isLong()) continue;
    await condition(allHandlersFinished);
    if (next.length === 0) await continueAsNew<typeof mergeQueue>({ ...settings, state: turns });
  }
}

async function call(queue: Queue, run: Run): Promise<void> {
  try {
    await getExternalWorkflowHandle(run.rollout, run.runId).signal(progressSignal, { what: 'its turn to merge has come' });
  } catch (error) {
    log.warn('a rollout is gone without having given its turn to merge back', { rollout: run.rollout, error });
    leave(queue, run);
  }
}
