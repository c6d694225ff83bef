import {
  allHandlersFinished,
  condition,
  continueAsNew,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../../contracts/activities/index.ts';
import { type LaneStart, laneQuery } from '../../contracts/messages.ts';
import { emptyLane, type LaneState } from '../../domain/lane/state.ts';
import { someoneWaits } from '../../domain/lane/turns.ts';
import { answerOperators } from './operators.ts';
import { LanePost } from './outbox.ts';
import { answerRollouts } from './rollouts.ts';

const { findEnded } = proxyActivities<Pick<Activities, 'findEnded'>>({
  startToCloseTimeout: '1 minute',
  summary: 'do the rollouts that hold or wait for a turn still run?',
});

/** An operator was told that it will be started: it is tried until it is. */
const { startRollback, startPromotion } = proxyActivities<Pick<Activities, 'startRollback' | 'startPromotion'>>({
  startToCloseTimeout: '1 minute',
  retry: { initialInterval: '1s', maximumInterval: '1m' },
});

/**
 * The long-lived workflow of one service: who goes before whom, what its stages run, and what became of every image. It decides nothing
 * by itself; its rules are in `domain/lane`.
 */
export async function lane(start: LaneStart): Promise<never> {
  const { service, state, errands = [], lookEveryMs = 60_000, longestHistory = 4_000 } = start;
  // Turn numbers rise also when a lane is terminated and begun anew: a host refuses a deploy by a lower one.
  const memory = state ?? emptyLane(workflowInfo().startTime.getTime());
  const post = new LanePost(memory, errands);
  setHandler(laneQuery, () => memory);
  answerRollouts(memory, post);
  answerOperators({ service, memory, post });
  return await Promise.race([
    freeTheDead(memory, post, lookEveryMs),
    deliverLetters(memory, post, { service, state: memory, lookEveryMs, longestHistory }),
    runErrands(post),
  ]);
}

/** A workflow that was terminated never blocks its service. */
async function freeTheDead(memory: LaneState, post: LanePost, lookEveryMs: number): Promise<never> {
  for (;;) {
    await condition(() => someoneWaits(memory));
    await forgetTheDead(memory, post);
    await sleep(lookEveryMs);
  }
}

async function forgetTheDead(memory: LaneState, post: LanePost): Promise<void> {
  const members = Object.entries(memory.members).map(([rollout, { runId }]) => ({ rollout, runId }));
  for (const ended of await findEnded({ members })) post.forgetRun(ended);
}

/** Before the lane continues as new, it forgets the dead, lets all handlers finish and delivers what they wrote. */
async function deliverLetters(
  memory: LaneState,
  post: LanePost,
  next: LaneStart & { readonly longestHistory: number },
): Promise<never> {
  for (;;) {
    await condition(() => !post.isEmpty || historyIsLong(next.longestHistory));
    await post.deliver();
    if (!historyIsLong(next.longestHistory)) continue;
    await forgetTheDead(memory, post);
    await condition(allHandlersFinished);
    if (post.isEmpty) await continueAsNew<typeof lane>({ ...next, errands: post.errands });
  }
}

function historyIsLong(longestHistory: number): boolean {
  return workflowInfo().historyLength > longestHistory || workflowInfo().continueAsNewSuggested;
}

/** One after the other. One that is under way when the lane continues as new is run again, and finds what it did. */
async function runErrands({ errands }: LanePost): Promise<never> {
  for (;;) {
    await condition(() => errands.length > 0);
    const [errand] = errands;
    if (errand?.kind === 'rollback') await startRollback(errand.start);
    if (errand?.kind === 'promotion') await startPromotion(errand.start);
    errands.shift();
  }
}
