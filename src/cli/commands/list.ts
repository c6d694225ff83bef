import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Attribution } from '../../domain/person.ts';
import { nameOf, runStatuses, shortRollout } from '../../domain/rollout-state.ts';
import { unlessUnanswered } from '../../operations/errors.ts';
import type { ListedRollout, RolloutFilter } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { withOperations } from '../reach.ts';
import { ago, coloured, plain, table } from '../terminal.ts';

export function addList(program: Command, context: CliContext): void {
  const list = program
    .command('list')
    .description('list rollouts and the rollbacks that operators asked for, the newest first')
    .option('-s, --service <name>', 'only those of this service')
    .addOption(new Option('--status <status>', 'only those with this status').choices(runStatuses))
    .option('-n, --limit <number>', 'at most so many', parseLimit, 20)
    .option('--all-runs', 'earlier runs of a rollout too, not only the newest');
  addCommandOptions(list, context).action(async (options: CommandOptions & RolloutFilter) => {
    const inputs = await import('../../operations/inputs.ts');
    const filter = inputs.parseInput(inputs.rolloutFilter, options);
    const { print, warn, width } = context;
    const { rows, hold, place } = await withOperations(options, context, async (operations) => {
      const [rows, hold] = await Promise.all([
        operations.listRollouts(filter),
        operations.readGlobalHold().catch(unlessUnanswered),
      ]);
      return { rows, hold, place: operations.place() };
    });
    if (options.json) return print(JSON.stringify(rows, null, 2));
    if (hold !== undefined) print(heldLine(hold, context));
    if (rows.length === 0) return warn(describeNothing(filter, place));
    const cells = rows.map((row) => rowCells(row, context));
    for (const line of table([['ROLLOUT', 'STATUS', 'AT', 'CHANGED', 'REASON'], ...cells], width)) print(line);
    if (rows.some(({ unanswered }) => unanswered)) warn(noWorker);
  });
}

function rowCells(row: ListedRollout, context: Pick<CliContext, 'width' | 'env'>): string[] {
  const { rollout, status, stage = '', step, changedAt, reason = '', proposal = '', unanswered } = row;
  // Where it ended is no reason.
  const why = reason === stage ? '' : reason;
  return [
    shortRollout(rollout),
    coloured(status, context),
    step === undefined ? stage : nameOf({ step, ...(row.stage !== undefined && { stage }) }),
    ago(row.since ?? changedAt),
    unanswered ? 'no worker answers for it' : plain(why || proposal),
  ];
}

const noWorker =
  'No worker answers, so nothing goes on, and what is under way cannot be told: see that Landfall runs (LANDFALL_ROLES with worker).';

/** Said wherever somebody wonders why nothing goes on. */
export function heldLine({ by, at, reason }: Attribution, { command }: Pick<CliContext, 'command'>): string {
  const why = reason ? `: ${plain(reason)}` : '';
  return `All services are held by ${plain(by)} ${ago(at)}${why}. Nothing but rollbacks changes what runs; ${command} release --all`;
}

function parseLimit(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1 to 99999');
}

/** An empty list looks the same in the right place and in the wrong one, so it says where it looked. */
function describeNothing({ service, status }: RolloutFilter, where: string): string {
  return service === undefined && status === undefined
    ? `no rollouts yet in ${where}: push an image, or have one rolled out: landfall trigger IMAGE`
    : `no such rollouts in ${where}: landfall list shows all`;
}
