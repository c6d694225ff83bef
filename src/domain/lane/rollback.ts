import { formatReference } from '../image-reference.ts';
import type { ImageIdentity } from '../outcomes.ts';
import type { Plan } from '../plan.ts';
import { mayName } from './decisions.ts';
import { deliveredDigests, digestOf } from './known-digests.ts';
import { DecisionRefused } from './refused.ts';
import type { Running } from './running.ts';
import { type CurrentRunning, type LaneState, stageOf } from './state.ts';

/** What operators start from a lane's memory: going back to what ran before, and bringing an earlier digest to a stage. */

/**
 * @returns what would be rolled back
 * @throws Refused where nothing is known that could be
 */
export function mayRollBack(lane: LaneState, name: string): Running {
  mayName(lane, name);
  const { running, holder, waiters = [] } = lane.stages[name] ?? {};
  if (running === undefined) {
    throw new DecisionRefused(`Landfall knows nothing that it brought to ${name}, so there is nothing that it could roll back`);
  }
  const under = [holder, ...waiters].find((rollout) => rollout !== undefined && lane.members[rollout]?.rollback);
  if (under !== undefined) throw new DecisionRefused(`${name} is being rolled back already, by ${under}`);
  if (!isSomethingBefore(running)) {
    throw new DecisionRefused(
      `${running.digest} is the first that Landfall brought to ${name}: it knows of nothing before it. Push or promote what should run`,
    );
  }
  return withoutPosition(running);
}

/** What something else deploys is put back by the repository alone. */
function isSomethingBefore({ before, proposal, plan }: Running): boolean {
  if (before.running.length > 0 || before.image !== undefined) return true;
  const isLocal = plan.stages.some(({ deploy }) => deploy?.host !== undefined);
  return !isLocal && (proposal?.before ?? []).length > 0;
}

/** What an operator is told before it happens. References are as they will run. */
export interface RollbackTerms {
  readonly from: string;
  readonly to: string;
  /** The rollout that changes the stage now, and is waited for. */
  readonly behind?: string;
  /** The pin of what is rolled back ends. */
  readonly unpins?: true;
}

export function rollbackTerms(
  lane: LaneState,
  name: string,
  { repository, tag, digest, before, proposal }: Running,
): RollbackTerms {
  const { holder, begun, pin } = stageOf(lane, name);
  const image = before.image === undefined ? [] : [formatReference(before.image)];
  const ran = before.running.length > 0 ? before.running.map(({ reference }) => reference) : image;
  const references = ran.length > 0 ? ran : (proposal?.before ?? []);
  return {
    from: formatReference({ repository, tag, digest }),
    to: [...new Set(references)].slice(0, 5).join(', ').slice(0, 1_000),
    ...(holder !== undefined && begun && { behind: holder }),
    ...(pin?.digest === digest && { unpins: true }),
  };
}

function withoutPosition({ position: _, ...running }: CurrentRunning): Running {
  return running;
}

/** @returns the number of this rollback of the stage, from 1 */
export function countRollback(lane: LaneState, name: string): number {
  const stage = stageOf(lane, name);
  stage.rollbacks = (stage.rollbacks ?? 0) + 1;
  return stage.rollbacks;
}

export interface Promotable {
  readonly image: ImageIdentity;
  /** By which the stage was served last, of this stage alone. */
  readonly plan: Plan;
}

/** @throws Refused */
export function mayPromote(lane: LaneState, name: string, typed: string): Promotable {
  mayName(lane, name);
  const digest = digestOf(typed, deliveredDigests(lane), 'known');
  const quarantined = lane.quarantine[digest];
  if (quarantined !== undefined) {
    throw new DecisionRefused(
      `${digest} is in quarantine since ${quarantined.at} (${quarantined.reason}): unquarantine it first`,
    );
  }
  const { running, lastPlan } = lane.stages[name] ?? {};
  const plan = running?.plan ?? lastPlan;
  if (plan === undefined) {
    throw new DecisionRefused(`nothing has gone to ${name} yet, so nobody knows how: let a push go there first, or trigger one`);
  }
  if (running?.digest === digest) throw new DecisionRefused(`${name} runs ${digest} already`);
  const image = imageOf(lane, digest);
  if (image === undefined) throw new DecisionRefused(`${digest} is not known any more: trigger its tag instead`);
  return { image, plan };
}

function imageOf(lane: LaneState, digest: string): ImageIdentity | undefined {
  const stages = Object.values(lane.stages);
  const ran = stages.flatMap(({ running, earlier = [] }) => (running === undefined ? earlier : [running, ...earlier]));
  return [...ran, ...Object.values(lane.delivered).flat()].find((one) => one.digest === digest);
}
