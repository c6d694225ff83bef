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
import type { Activities } from '../activities/index.ts';
import { enter, forget, leave, verified } from '../domain/lane/members.ts';
import { emptyLane, type LaneState } from '../domain/lane/state.ts';
import { type Grant, release, request, someoneWaits } from '../domain/lane/turns.ts';
import {
  enterUpdate,
  grantSignal,
  type LaneStart,
  laneQuery,
  leaveUpdate,
  releaseUpdate,
  requestUpdate,
  type Superseding,
  supersedeSignal,
  verifiedUpdate,
} from './messages.ts';

const { findEnded } = proxyActivities<Pick<Activities, 'findEnded'>>({
  startToCloseTimeout: '1 minute',
  summary: 'do the rollouts that hold or wait for a turn still run?',
});

/** One letter from the lane to a rollout. Handlers only write them, so that every update is answered at once. */
type Letter = { readonly rollout: string; readonly runId: string } & (
  | { readonly grant: Grant }
  | { readonly superseding: Superseding }
);

/**
 * The long-lived workflow of one service: who goes before whom, and what became of every image. It decides nothing by itself; its
 * rules are in `domain/lane`.
 */
export async function lane({ service, state, lookEveryMs = 60_000, longestHistory = 4_000 }: LaneStart): Promise<never> {
  const memory = state ?? emptyLane();
  const letters: Letter[] = [];
  answerRollouts(memory, letters);
  const next = { service, state: memory, lookEveryMs, longestHistory };
  return await Promise.race([freeTheDead(memory, letters, lookEveryMs), deliverLetters(memory, letters, next)]);
}

/** A workflow that was terminated never blocks its service. */
async function freeTheDead(memory: LaneState, letters: Letter[], lookEveryMs: number): Promise<never> {
  for (;;) {
    await condition(() => someoneWaits(memory));
    await forgetTheDead(memory, letters);
    await sleep(lookEveryMs);
  }
}

async function forgetTheDead(memory: LaneState, letters: Letter[]): Promise<void> {
  const members = Object.entries(memory.members).map(([rollout, { runId }]) => ({ rollout, runId }));
  for (const ended of await findEnded({ members })) forgetRun(memory, letters, ended);
}

/** Before the lane continues as new, it forgets the dead, lets all handlers finish and delivers what they wrote. */
async function deliverLetters(
  memory: LaneState,
  letters: Letter[],
  next: LaneStart & { longestHistory: number },
): Promise<never> {
  for (;;) {
    await condition(() => letters.length > 0 || historyIsLong(next.longestHistory));
    await deliver(memory, letters);
    if (!historyIsLong(next.longestHistory)) continue;
    await forgetTheDead(memory, letters);
    await condition(allHandlersFinished);
    if (letters.length === 0) await continueAsNew<typeof lane>(next);
  }
}

function historyIsLong(longestHistory: number): boolean {
  return workflowInfo().historyLength > longestHistory || workflowInfo().continueAsNewSuggested;
}

function answerRollouts(memory: LaneState, letters: Letter[]): void {
  const write = (rollout: string, letter: { grant: Grant } | { superseding: Superseding }): void => {
    const runId = memory.members[rollout]?.runId;
    if (runId !== undefined) letters.push({ rollout, runId, ...letter });
  };
  const grantAll = (grants: readonly Grant[]): void => {
    for (const grant of grants) write(grant.rollout, { grant });
  };
  setHandler(laneQuery, () => memory);
  setHandler(enterUpdate, (entry) => {
    const { answer, grants } = enter(memory, entry);
    grantAll(grants);
    return answer;
  });
  setHandler(verifiedUpdate, (at) => {
    const { answer, superseded } = verified(memory, at);
    for (const older of superseded) write(older, { superseding: { by: at.rollout, where: 'checks' } });
    return answer;
  });
  setHandler(requestUpdate, (at) => {
    const { answer, superseded, grants } = request(memory, at);
    for (const older of superseded) write(older, { superseding: { by: at.rollout, where: { stage: at.stage } } });
    grantAll(grants);
    return answer;
  });
  setHandler(releaseUpdate, (at) => grantAll(release(memory, at)));
  setHandler(leaveUpdate, (leaving) => grantAll(leave(memory, leaving)));
}

/** Sends what the handlers wrote. A rollout that is gone is forgotten, which may write further letters. */
async function deliver(memory: LaneState, letters: Letter[]): Promise<void> {
  for (let letter = letters.shift(); letter !== undefined; letter = letters.shift()) {
    const rollout = getExternalWorkflowHandle(letter.rollout, letter.runId);
    try {
      if ('grant' in letter) await rollout.signal(grantSignal, letter.grant);
      else await rollout.signal(supersedeSignal, letter.superseding);
    } catch (error) {
      log.warn('a rollout is gone without having left its lane', { rollout: letter.rollout, error });
      forgetRun(memory, letters, letter);
    }
  }
}

function forgetRun(memory: LaneState, letters: Letter[], { rollout, runId }: { rollout: string; runId: string }): void {
  if (memory.members[rollout]?.runId !== runId) return;
  for (const grant of forget(memory, rollout)) {
    const next = memory.members[grant.rollout];
    if (next !== undefined) letters.push({ rollout: grant.rollout, runId: next.runId, grant });
  }
}
