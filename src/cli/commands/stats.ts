import type { Command } from 'commander';
import type { Figures, Percentiles } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { withOperations } from '../reach.ts';
import { formatDuration, table } from '../terminal.ts';

type FiguresOptions = CommandOptions & { readonly service?: string; readonly days: string };

export function addStats(program: Command, context: CliContext): void {
  const command = program
    .command('stats')
    .description(
      'how well it goes, beside its targets: times to proposal and to healthy, share that ended well, share that needed a person',
    )
    .option('-s, --service <name>', 'only of this service')
    .option('--days <number>', 'over how many days until now; Temporal keeps what has ended for a while only', '30');
  addCommandOptions(command, context).action(async (options: FiguresOptions) => {
    const { json, service, days } = options;
    const [inputs, { targets }] = await Promise.all([
      import('../../operations/inputs.ts'),
      import('../../operations/targets.ts'),
    ]);
    const input = inputs.parseInput(inputs.figuresInput, { days, service });
    const figures = await withOperations(options, context, (operations) => operations.readFigures(input));
    if (json) return context.print(JSON.stringify({ ...figures, targets }, null, 2));
    for (const line of describeFigures(figures, targets)) context.print(line);
  });
}

type Targets = Readonly<Record<'proposedSeconds' | 'successShare' | 'personShare', number>>;

export function describeFigures(figures: Figures, targets: Targets): string[] {
  const { rollouts, isCut, days, toProposed, toHealthy, successShare, personShare, proposalsPerWeek, ends } = figures;
  const all = Object.entries(ends).map(([end, count]) => `${end} ${count}`);
  const goal = (isMet: boolean | undefined, text: string) => (isMet === undefined ? text : `${text} ${isMet ? '✔' : '✘'}`);
  return table([
    ['ended', `${rollouts}${isCut ? ' and more' : ''} in ${days} ${days === 1 ? 'day' : 'days'}`, all.join(', ')],
    [
      'push to proposal',
      percentilesText(toProposed),
      goal(toProposed && toProposed.p95Seconds <= targets.proposedSeconds, `target ${seconds(targets.proposedSeconds)}`),
    ],
    ['push to healthy', percentilesText(toHealthy), ''],
    [
      'ended well',
      share(successShare),
      goal(
        successShare === undefined ? undefined : successShare >= targets.successShare,
        `target ${share(targets.successShare)}`,
      ),
    ],
    [
      'needed a person',
      share(personShare),
      goal(
        personShare === undefined ? undefined : personShare <= targets.personShare,
        `target at most ${share(targets.personShare)}`,
      ),
    ],
    ['proposals a week', proposalsPerWeek.toFixed(1), ''],
  ]);
}

function percentilesText(times: Percentiles | undefined): string {
  if (times === undefined) return 'none yet';
  return `p50 ${seconds(times.p50Seconds)}, p95 ${seconds(times.p95Seconds)}, of ${times.count}`;
}

function seconds(value: number): string {
  return formatDuration(value * 1000);
}

function share(value: number | undefined): string {
  return value === undefined ? 'none yet' : `${(value * 100).toFixed(1)} %`;
}
