import type { Activities } from './index.ts';

/** The activities with a name of their own that are a part of a step. */
const activitiesOf = new Map<string, readonly (keyof Activities)[]>([
  ['merge', ['snapshotStage', 'mergeChange', 'baseHolds']],
  ['deploy', ['snapshotStage', 'deployStage']],
  ['watch', ['snapshotStage', 'watchStage']],
  ['rollback', ['mergeChange', 'baseHolds', 'watchStage', 'rollBackStage', 'revertChange']],
  // Of builds, where every other step is a check.
  ['validate', ['readTarget']],
  ['exists', ['askRegistry']],
  ['build', ['buildPlatform']],
  ['upload', ['pushPlatform']],
  ['push', ['publishBuild']],
  ['hand-over', ['handOver']],
]);

/** @param activity its name, or that of its step */
export function isPartOf(step: string, activity: string): boolean {
  if (activity === step) return true;
  const known: readonly string[] = activitiesOf.get(step) ?? ['checkBuilt'];
  return known.includes(activity);
}
