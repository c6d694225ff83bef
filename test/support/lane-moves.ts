import assert from 'node:assert/strict';
import type { Tag } from '../../src/domain/image-reference.ts';
import { enter, leave, verified } from '../../src/domain/lane/members.ts';
import { begin, ran, rolledBack } from '../../src/domain/lane/stages.ts';
import type { LaneState, Running } from '../../src/domain/lane/state.ts';
import { release, request, type TurnAnswer } from '../../src/domain/lane/turns.ts';
import type { End } from '../../src/domain/rollout-state.ts';
import type { TagPolicy } from '../../src/domain/tag-policy.ts';
import { digestOf, imageOf, planOf, stageOf, verifiedOf } from './plans.ts';

export const exact: TagPolicy = { kind: 'exact', tags: ['latest'] as Tag[] };
export const stage = 'production';
export const someTime = '2026-01-01T00:00:00.000Z';

/** A rollout of a word, as a lane sees it. */
export function rolloutOf(word: string, tag = 'latest') {
  const rollout = `rollout:web:${tag}:${word}`;
  return { rollout, runId: `run of ${rollout}`, tag: tag as Tag, digest: digestOf(word), manual: false, stages: [stage], stage };
}
export type LaneRollout = ReturnType<typeof rolloutOf>;

/** Enters, is verified, and asks for its turn. */
export function come(lane: LaneState, rollout: LaneRollout, policy = exact): TurnAnswer {
  assert.equal(enter(lane, rollout).answer.kind, 'admitted');
  verified(lane, { ...rollout, policy });
  return request(lane, { ...rollout, policy }).answer;
}

export function end(lane: LaneState, rollout: LaneRollout, how: End): string[] {
  return leave(lane, { ...rollout, end: how, at: someTime }).map((grant) => grant.rollout);
}

/** What a stage runs by a rollout, after what `begin` answered. */
export function runningOf(rollout: LaneRollout, word: string, before?: Running['before']['image'], since = someTime): Running {
  const plan = planOf({ stages: [stageOf(rollout.stage)] });
  const image = verifiedOf(imageOf(plan, word, rollout.tag));
  const { repository, tag, digest } = image;
  const running = before === undefined ? [] : [{ name: 'web', reference: `${before.repository}@${before.digest}` }];
  const was = { running, ...(before !== undefined && { image: before }) };
  return { repository, tag, digest, since, rollout: rollout.rollout, plan, image, before: was };
}

/** The whole way of one image to the stage, and away. */
export function deliver(lane: LaneState, word: string, tag = 'latest', since = someTime): LaneRollout {
  const rollout = { ...rolloutOf(word, tag), runId: `run of ${word} at ${lane.clock}` };
  assert.equal(come(lane, rollout).kind, 'granted');
  const answer = begin(lane, rollout);
  assert.ok(answer.kind === 'go', JSON.stringify(answer));
  ran(lane, { ...rollout, running: runningOf(rollout, word, answer.before, since) });
  release(lane, { ...rollout, reached: true });
  end(lane, rollout, 'delivered');
  return rollout;
}

export function undo(lane: LaneState, rollout: LaneRollout, by = 'landfall'): void {
  const { digest, runId, stage: name } = rollout;
  rolledBack(lane, { rollout: rollout.rollout, runId, stage: name, digest, reason: 'unhealthy', by, at: someTime });
}
