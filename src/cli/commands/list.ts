import { type Command, InvalidArgumentError, Option } from 'commander';
import { rolloutStatuses, shortRollout } from '../../domain/rollout-state.ts';
import type { RolloutFilter, TemporalTarget } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { coloured, formatDuration, plain, table } from '../terminal.ts';

export function addList(program: Command, context: CliContext): void {
  const list = program
    .command('list')
    .description('list rollouts and the rollbacks that operators asked for, the newest first')
    .option('-s, --service <name>', 'only those of this service')
    .addOption(new Option('--status <status>', 'only those with this status').choices(rolloutStatuses))
    .option('-n, --limit <number>', 'at most so many', parseLimit, 20)
    .option('--all-runs', 'earlier runs of a rollout too, not only the newest');
  addCommandOptions(list, context).action(async (options: CommandOptions & RolloutFilter) => {
    const operations = await import('../../operations/index.ts');
    const filter = operations.parseInput(operations.rolloutFilter, options);
    const { env, print, warn, width } = context;
    const { rows, target } = await operations.withClient(options.config, env, async (client, target) => ({
      rows: await operations.listRollouts(client, filter),
      target,
    }));
    if (options.json) return print(JSON.stringify(rows, null, 2));
    if (rows.length === 0) return warn(describeNothing(filter, target));
    const cells = rows.map(({ rollout, status, stage = '', changedAt, reason, proposal = '' }) => [
      shortRollout(rollout),
      coloured(status, context),
      stage,
      `${formatDuration(Date.now() - Date.parse(changedAt))} ago`,
      plain(reason ?? proposal),
    ]);
    for (const line of table([['ROLLOUT', 'STATUS', 'STAGE', 'CHANGED', 'REASON'], ...cells], width)) print(line);
  });
}

function parseLimit(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1 to 99999');
}

/** An empty list looks the same in the right place and in the wrong one, so it says where it looked. */
function describeNothing({ service, status }: RolloutFilter, { address, namespace, from }: TemporalTarget): string {
  const where = `Temporal at ${address}, namespace ${namespace} (${from})`;
  return service === undefined && status === undefined
    ? `no rollouts yet in ${where}: push an image, or have one rolled out: landfall trigger IMAGE`
    : `no such rollouts in ${where}: landfall list shows all`;
}
