import { type Command, InvalidArgumentError, Option } from 'commander';
import { rolloutStatuses, shortRollout } from '../../domain/rollout-state.ts';
import type { RolloutFilter, RolloutRow, TemporalTarget } from '../../operations/index.ts';
import type { CliContext } from '../context.ts';
import { configOption, jsonOption } from '../options.ts';
import { coloured, formatDuration, plain, table } from '../terminal.ts';

interface ListOptions extends RolloutFilter {
  readonly config: string;
  readonly json?: boolean;
}

export function addList(program: Command, context: CliContext): void {
  program
    .command('list')
    .description('list rollouts and the rollbacks that operators asked for, the newest first')
    .option('-s, --service <name>', 'only those of this service')
    .addOption(new Option('--status <status>', 'only those with this status').choices(rolloutStatuses))
    .option('-n, --limit <number>', 'at most so many', parseLimit, 20)
    .option('--all-runs', 'earlier runs of a rollout too, not only the newest')
    .addOption(jsonOption())
    .addOption(configOption(context))
    .action((options: ListOptions) => printList(options, context));
}

function parseLimit(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1 to 99999');
}

async function printList(options: ListOptions, context: CliContext): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const filter = operations.parseInput(operations.rolloutFilter, options);
  const target = operations.temporalTarget(options.config, context.env);
  const rows = await operations.withClient(target, (client) => operations.listRollouts(client, filter));
  const { print, warn, width } = context;
  if (options.json) return print(JSON.stringify(rows, null, 2));
  if (rows.length === 0) return warn(describeNothing(filter, target));
  const header = ['ROLLOUT', 'STATUS', 'STAGE', 'CHANGED', 'REASON'];
  for (const line of table([header, ...rows.map((row) => cellsOf(row, context))], width)) print(line);
}

/** An empty list looks the same in the right place and in the wrong one, so it says where it looked. */
function describeNothing({ service, status }: RolloutFilter, { address, namespace, from }: TemporalTarget): string {
  const where = `Temporal at ${address}, namespace ${namespace} (${from})`;
  return service === undefined && status === undefined
    ? `no rollouts yet in ${where}: push an image, or have one rolled out: landfall trigger IMAGE`
    : `no such rollouts in ${where}: landfall list shows all`;
}

function cellsOf(row: RolloutRow, context: CliContext): string[] {
  const changed = `${formatDuration(Date.now() - Date.parse(row.changedAt))} ago`;
  return [
    shortRollout(row.rollout),
    coloured(row.status, context),
    row.stage ?? '',
    changed,
    plain(row.reason ?? row.proposal ?? ''),
  ];
}
