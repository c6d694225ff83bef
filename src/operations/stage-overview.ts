import type { LaneState, StageLane } from '../domain/lane/state.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { Attribution } from '../domain/person.ts';

export interface StageOverview {
  readonly stage: string;
  /** Absent: nothing that Landfall knows of. */
  readonly running?: ImageIdentity & {
    readonly since: string;
    /** What brought it. */
    readonly rollout: string;
    readonly health: StageHealth;
  };
  readonly hold?: Attribution;
  /** Only this digest goes in. */
  readonly pin?: Attribution & { readonly digest: string };
  /** Why nothing can go in until a person says so: held, or pinned to what is in quarantine. */
  readonly stopped?: string;
  /** The rollout whose turn it is; `changing`: it changes what runs. */
  readonly turn?: { readonly rollout: string; readonly changing: boolean };
  /** How many wait for theirs. */
  readonly waiting: number;
}

/**
 * As far as the lane knows. `healthy`: it was, when its rollout was done with the stage. `watched`: that goes on. `unhealthy`: it stayed,
 * although its rollback failed or an operator let it be.
 */
export type StageHealth = 'healthy' | 'watched' | 'unhealthy' | 'unknown';

/** In the order in which they were reached. */
export function stagesOf(lane: LaneState): StageOverview[] {
  return Object.entries(lane.stages).map(([name, stage]) => {
    const { hold, pin, holder, begun = false, waiters } = stage;
    const stopped = stoppedBy(lane, stage);
    const running = runningIn(lane, stage);
    return {
      stage: name,
      ...(running !== undefined && { running }),
      ...(hold !== undefined && { hold }),
      ...(pin !== undefined && { pin }),
      ...(stopped !== undefined && { stopped }),
      ...(holder !== undefined && { turn: { rollout: holder, changing: begun } }),
      waiting: waiters.length,
    };
  });
}

function runningIn(lane: LaneState, stage: StageLane): StageOverview['running'] {
  if (stage.running === undefined) return undefined;
  const { repository, tag, digest, since, rollout } = stage.running;
  return { repository, tag, digest, since, rollout, health: healthIn(lane, stage) };
}

function healthIn(lane: LaneState, { running, holder, begun, current }: StageLane): StageHealth {
  if (running === undefined) return 'unknown';
  if (begun && holder === running.rollout) return 'watched';
  if (current?.digest === running.digest) return 'healthy';
  const verdict = lane.verdicts[`${running.tag}@${running.digest}`];
  return verdict?.end === 'failed' ? 'unhealthy' : 'unknown';
}

function stoppedBy({ hold: ofService, quarantine }: LaneState, { hold, pin }: StageLane): string | undefined {
  if (ofService !== undefined) return `the service is held by ${saidBy(ofService)}`;
  if (hold !== undefined) return `held by ${saidBy(hold)}`;
  if (pin === undefined || quarantine[pin.digest] === undefined) return undefined;
  return `pinned to ${pin.digest}, which is in quarantine: release the pin, or unquarantine it`;
}

function saidBy({ by, reason }: Attribution): string {
  return reason === undefined ? by : `${by}: ${reason}`;
}

/** What a stage ran at some time. `since`: when it had come there; absent: nothing that the lane remembers. */
export type EarlierImage = (ImageIdentity & { readonly since: string }) | undefined;

/** @param time ISO 8601 */
export function ranAt({ stages, delivered = {} }: LaneState, stage: string, time: string): EarlierImage {
  const { running, earlier = [] } = stages[stage] ?? {};
  const runs = running === undefined ? earlier : [running, ...earlier];
  const came = [
    ...runs.map(({ repository, tag, digest, since }) => ({ repository, tag, digest, since })),
    // What was rolled back since is among these alone.
    ...(Object.hasOwn(delivered, stage) ? (delivered[stage] ?? []) : []).map(({ at, ...image }) => ({ ...image, since: at })),
  ];
  const before = came.filter(({ since }) => Date.parse(since) <= Date.parse(time));
  return before.sort((one, other) => Date.parse(other.since) - Date.parse(one.since))[0];
}
