import { ApplicationFailure, condition, defineQuery, setHandler } from '@temporalio/workflow';
import {
  decidedQuery,
  type GlobalHoldState,
  globalHoldQuery,
  globalHoldUpdate,
  globalReleaseUpdate,
  holdUpdate,
  type LaneDecision,
  type LaneStart,
  laneQuery,
  pinUpdate,
  promoteUpdate,
  quarantineUpdate,
  releaseUpdate,
  rollbackUpdate,
  unquarantineUpdate,
} from '../../src/contracts/messages.ts';
import { decidedMeanwhile } from '../../src/domain/decision-proof.ts';
import type { Digest, Repository, Tag } from '../../src/domain/image-reference.ts';
import { rollbackTerms } from '../../src/domain/lane/decisions.ts';
import { emptyLane, type LaneState, type Running, stageOf } from '../../src/domain/lane/state.ts';
import type { Attribution } from '../../src/domain/person.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';

/** The last hold, rollback or promotion as it was said. */
export const saidQuery = defineQuery<(LaneDecision & { readonly digest?: string }) | undefined>('said');

const at = '2026-01-02T03:04:05.000Z';

/** A stand-in for the real lane: it takes every word, does nothing about it, and refuses what is about the stage `sealed`. */
export async function lane({ state }: LaneStart): Promise<never> {
  const memory: LaneState = state ?? emptyLane();
  const wordOf = ({ by = 'nobody', reason }: LaneDecision = {}): Attribution => ({
    by,
    at,
    ...(reason !== undefined && { reason }),
  });
  const refuseSealed = (decision?: LaneDecision): void => {
    if (decision?.stage === 'sealed') throw ApplicationFailure.nonRetryable('sealed stays as it is');
  };
  const validated = { validator: refuseSealed };
  let said: (LaneDecision & { readonly digest?: string }) | undefined;
  let decided = 7;
  setHandler(laneQuery, () => memory);
  setHandler(saidQuery, () => said);
  setHandler(decidedQuery, () => decided);
  setHandler(
    holdUpdate,
    (decision) => {
      // As if somebody had decided something else just before.
      if (decision?.reason === 'late' && decided === 7) {
        decided += 1;
        throw ApplicationFailure.nonRetryable(`${decidedMeanwhile}: look`, 'DecisionRefused');
      }
      said = decision;
      if (decision?.stage === undefined) memory.hold = wordOf(decision);
      else stageOf(memory, decision.stage).hold = wordOf(decision);
      return memory;
    },
    validated,
  );
  setHandler(releaseUpdate, (decision) => {
    if (decision?.stage === undefined) delete memory.hold;
    else delete stageOf(memory, decision.stage).hold;
    return memory;
  });
  setHandler(pinUpdate, (decision) => {
    stageOf(memory, decision.stage).pin = { ...wordOf(decision), digest: decision.digest as Digest };
    return memory;
  });
  setHandler(quarantineUpdate, ({ digest, ...decision }) => {
    memory.quarantine[digest] = { reason: decision.reason ?? 'none', by: decision.by ?? 'nobody', at };
    return memory;
  });
  setHandler(unquarantineUpdate, ({ digest }) => {
    delete memory.quarantine[digest];
    return memory;
  });
  setHandler(
    rollbackUpdate,
    (decision) => {
      said = decision;
      const { stage, by, reason } = decision;
      const workflow = `rollback:${[stage, by, reason].join(':')}:1`;
      const { running } = memory.stages[stage] ?? {};
      return running === undefined ? { workflow, from: '', to: '' } : { workflow, ...rollbackTerms(memory, stage, running) };
    },
    validated,
  );
  setHandler(promoteUpdate, (decision) => {
    said = decision;
    const { stage, digest, by } = decision;
    return { workflow: `rollout:${[stage, by].join(':')}:${digest.slice(7, 19)}`, at: new Date().toISOString() };
  });
  await condition(() => false);
  throw new Error('a lane never ends');
}

/** A stand-in for a rollout that has ended as soon as it began. */
export async function rollout(status: RolloutState['status']): Promise<Omit<RolloutState, 'image'>> {
  const startedAt = new Date().toISOString();
  return { service: 'again', status, steps: [], proposals: {}, startedAt, changedAt: startedAt, endedAt: startedAt };
}

export async function globalHold(): Promise<never> {
  let state: GlobalHoldState = {};
  setHandler(globalHoldQuery, () => state);
  setHandler(decidedQuery, () => 0);
  setHandler(globalHoldUpdate, ({ by = 'nobody', reason } = {}) => {
    state = { hold: { by, at, ...(reason !== undefined && { reason }) } };
    return state;
  });
  setHandler(globalReleaseUpdate, () => {
    state = {};
    return state;
  });
  await condition(() => false);
  throw new Error('a global hold never ends');
}

const repository = 'ghcr.io/team/app' as Repository;

/** What a stage runs, as a lane keeps it. */
export function runningOf(service: string, tag: string, digest: Digest, before: Running['before']): Running {
  const image = { repository, tag: tag as Tag, digest };
  return {
    ...image,
    since: at,
    rollout: `rollout:${service}:${tag}:${digest.slice(7, 19)}`,
    plan: { service, repository, tags: { kind: 'exact', tags: [] }, platforms: [], checks: [], stages: [], decideWithinMs: 1 },
    image: { ...image, mediaType: 'application/vnd.oci.image.index.v1+json', platforms: [], size: 1 },
    before,
  };
}
