/**
 * Restarts of containers while they are watched, by container id. Docker counts those that a restart policy makes, and begins at 0 again
 * when the daemon or a person starts the container: neither is the image's fault, and neither is counted.
 */
export type Restarts = Readonly<Record<string, { readonly count: number; readonly since: number }>>;

export interface CountedContainer {
  readonly id: string;
  /** `RestartCount` of Docker. */
  readonly restartCount: number;
}

/**
 * @param known what was counted so far; undefined at the first reading: earlier restarts then do not count
 * @returns `since` of each container that was ever seen
 */
export function countRestarts(known: Restarts | undefined, seen: readonly CountedContainer[]): Restarts {
  const counted: Record<string, { count: number; since: number }> = { ...known };
  for (const { id, restartCount } of seen) {
    const before = known?.[id] ?? { count: known === undefined ? restartCount : 0, since: 0 };
    const more = restartCount >= before.count ? restartCount - before.count : restartCount;
    counted[id] = { count: restartCount, since: before.since + more };
  }
  return counted;
}
