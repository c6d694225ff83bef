import { namePattern } from '../config/scalars.ts';
import type { RolloutStatus } from '../domain/rollout-state.ts';
import { answeredInTime, temporalPlace, withClient } from './connection.ts';
import { UsageFailure } from './failure.ts';
import { listRollouts, type RolloutRow, shortId } from './rollouts.ts';
import { coloured, formatDuration, type Surroundings, table } from './terminal.ts';

export interface ListOptions {
  readonly config: string;
  readonly service?: string;
  readonly status?: RolloutStatus;
  readonly limit: number;
  readonly json?: boolean;
}

const answerWithinMs = 10_000;

/** `landfall list` */
export async function list(options: ListOptions, surroundings: Surroundings): Promise<void> {
  if (options.service !== undefined && !namePattern.test(options.service)) {
    throw new UsageFailure(`expected the name of a service, found '${options.service}'`);
  }
  const rows = await withClient(temporalPlace(options.config, surroundings), (client) =>
    answeredInTime(client, answerWithinMs, () => listRollouts(client, options)),
  );
  const { print, warn, width } = surroundings;
  if (options.json) return print(JSON.stringify(rows, null, 2));
  if (rows.length === 0) return warn('no rollouts');
  const header = ['ROLLOUT', 'STATUS', 'STAGE', 'CHANGED', 'REASON'];
  for (const line of table([header, ...rows.map((row) => cellsOf(row, surroundings))], width)) print(line);
}

function cellsOf(row: RolloutRow, surroundings: Surroundings): string[] {
  const changed = `${formatDuration(Date.now() - Date.parse(row.changedAt))} ago`;
  return [shortId(row.rollout), coloured(row.status, surroundings), row.stage ?? '', changed, row.reason ?? row.proposal ?? ''];
}
