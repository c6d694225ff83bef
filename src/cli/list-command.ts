import type { RolloutStatus } from '../domain/rollout-state.ts';
import { namePattern } from '../settings/scalars.ts';
import { answeredInTime, type TemporalPlace, temporalPlace, withClient } from './connection.ts';
import { UsageFailure } from './failure.ts';
import { listRollouts, type RolloutRow, shortId } from './rollouts.ts';
import { coloured, formatDuration, plain, type Surroundings, table } from './terminal.ts';

export interface ListOptions {
  readonly config: string;
  readonly service?: string;
  readonly status?: RolloutStatus;
  readonly limit: number;
  readonly allRuns?: boolean;
  readonly json?: boolean;
}

const answerWithinMs = 10_000;

/** `landfall list` */
export async function list(options: ListOptions, surroundings: Surroundings): Promise<void> {
  if (options.service !== undefined && !namePattern.test(options.service)) {
    throw new UsageFailure(`expected the name of a service, found '${options.service}'`);
  }
  const place = temporalPlace(options.config, surroundings);
  const rows = await withClient(place, (client) => answeredInTime(client, answerWithinMs, () => listRollouts(client, options)));
  const { print, warn, width } = surroundings;
  if (options.json) return print(JSON.stringify(rows, null, 2));
  if (rows.length === 0) return warn(describeNothing(options, place));
  const header = ['ROLLOUT', 'STATUS', 'STAGE', 'CHANGED', 'REASON'];
  for (const line of table([header, ...rows.map((row) => cellsOf(row, surroundings))], width)) print(line);
}

/** An empty list looks the same in the right place and in the wrong one, so it says where it looked. */
function describeNothing({ service, status }: ListOptions, { address, namespace, from }: TemporalPlace): string {
  const where = `Temporal at ${address}, namespace ${namespace} (${from})`;
  return service === undefined && status === undefined
    ? `no rollouts yet in ${where}: push an image, or have one rolled out: landfall trigger IMAGE`
    : `no such rollouts in ${where}: landfall list shows all`;
}

function cellsOf(row: RolloutRow, surroundings: Surroundings): string[] {
  const changed = `${formatDuration(Date.now() - Date.parse(row.changedAt))} ago`;
  return [
    shortId(row.rollout),
    coloured(row.status, surroundings),
    row.stage ?? '',
    changed,
    plain(row.reason ?? row.proposal ?? ''),
  ];
}
