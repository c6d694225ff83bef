import type { Digest, Tag } from '../image-reference.ts';
import type { TagPolicy } from '../tag-policy.ts';
import { type EntryAnswer, enter, verified } from './members.ts';
import { begin } from './stages.ts';
import { type ExternalHold, emptyLane, type LaneState, stageOf } from './state.ts';

export interface ForeseenPush {
  readonly service: string;
  readonly tag: Tag;
  readonly digest: Digest;
  readonly policy: TagPolicy;
  /** In order, each with what holds it from outside of the lane at this moment. */
  readonly stages: readonly { readonly name: string; readonly externalHold?: ExternalHold }[];
}

/** What a lane would answer to a push now. */
export interface Foreseen {
  readonly answer: EntryAnswer;
  readonly stages: readonly {
    readonly stage: string;
    /** What it would wait for before the stage is changed. Absent: nothing. */
    readonly waits?: string;
    /** The rollout whose turn it is. */
    readonly behind?: string;
  }[];
}

/** Asks a copy of the lane, as a rollout of the image would ask the lane itself. Nothing is changed. */
export function foresee(known: LaneState | undefined, { service, tag, digest, policy, stages }: ForeseenPush): Foreseen {
  const lane = structuredClone(known ?? emptyLane());
  const run = { rollout: `foreseen:${service}`, runId: 'foreseen' };
  const names = stages.map(({ name }) => name);
  const entered = enter(lane, { ...run, tag, digest, manual: false, stages: names }).answer;
  if (entered.kind !== 'admitted') return { answer: entered, stages: [] };
  const { answer } = verified(lane, { ...run, tag, digest, policy, stages: names });
  if (answer.kind !== 'admitted' || answer.supersededBy !== undefined) return { answer, stages: [] };
  return {
    answer,
    stages: stages.map(({ name, externalHold }) => {
      const stage = stageOf(lane, name);
      const behind = stage.holder;
      Object.assign(stage, { holder: run.rollout, begun: false });
      const begun = begin(lane, { ...run, stage: name }, externalHold);
      const waits = begun.kind === 'wait' ? begun.reason : undefined;
      return { stage: name, ...(waits !== undefined && { waits }), ...(behind !== undefined && { behind }) };
    }),
  };
}
