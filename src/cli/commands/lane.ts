import { type Command, InvalidArgumentError } from 'commander';
import type { GlobalHoldState } from '../../contracts/messages.ts';
import type { Delivered, LaneState, Quarantine, Running, StageLane } from '../../domain/lane/state.ts';
import type { Attribution } from '../../domain/person.ts';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { EarlierImage } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { withOperations } from '../reach.ts';
import { ago, plain, table } from '../terminal.ts';

export function addLane(program: Command, context: CliContext): void {
  const command = program
    .command('lane')
    .description('show what each stage of a service runs, since when, and what keeps it so')
    .argument('<service>', 'name of the service')
    .option(
      '--at <time>',
      'what each stage ran then: a time such as 2026-01-31T15:00 (of this machine) or 2026-01-31T15:00:00Z',
      timeIn,
    );
  addCommandOptions(command, context).action(async (text: string, options: ShowLaneOptions) => {
    const { json, at } = options;
    const [inputs, { ranAt }] = await Promise.all([
      import('../../operations/inputs.ts'),
      import('../../operations/stage-overview.ts'),
    ]);
    const service = inputs.parseInput(inputs.serviceInput, text);
    const { lane, globalHold } = await withOperations(options, context, (operations) => operations.showLane(service));
    const then = at === undefined ? undefined : { time: at, stages: whatRan(lane, at, ranAt) };
    if (json) return context.print(JSON.stringify({ service, globalHold, ...lane, ...(then && { at: then }) }, null, 2));
    const rows = then && table([['STAGE', `RAN AT ${then.time}`, 'SINCE'], ...then.stages.map(ranCells)], context.width);
    for (const row of rows ?? describeLane(service, lane, globalHold, context)) context.print(row);
  });
}

interface ShowLaneOptions extends CommandOptions {
  readonly at?: string;
}

function timeIn(text: string): string {
  const [day] = /^\d{4}-\d\d-\d\d(?=T)/.exec(text) ?? [];
  const time = new Date(text);
  if (day !== undefined && isDay(day) && !Number.isNaN(time.getTime())) return time.toISOString();
  throw new InvalidArgumentError(`expected a time such as 2026-01-31T15:00, found '${text}'`);
}

/** JavaScript takes the 30th of February for the 2nd of March. */
function isDay(day: string): boolean {
  const midnight = new Date(`${day}T00:00Z`);
  return !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
}

interface EarlierStage {
  readonly stage: string;
  readonly ran: EarlierImage;
}

function whatRan(
  lane: LaneState,
  at: string,
  ranAt: (lane: LaneState, stage: string, at: string) => EarlierImage,
): EarlierStage[] {
  return Object.keys(lane.stages).map((stage) => ({ stage, ran: ranAt(lane, stage, at) }));
}

function ranCells({ stage, ran }: EarlierStage): string[] {
  return ran === undefined ? [stage, 'nothing that Landfall knows of'] : [stage, imageText(ran), ran.since];
}

const mostEarlier = 5;
const mostQuarantined = 20;

/** A lane as `landfall lane` prints it: what each stage runs, what keeps it so, and which digests never go out again. */
function describeLane(
  service: string,
  lane: LaneState,
  globalHold: GlobalHoldState,
  { width }: Pick<CliContext, 'width'>,
): string[] {
  const stages = Object.entries(lane.stages);
  const header = ['STAGE', 'RUNS', 'SINCE', 'ROLLOUT', 'BEFORE'];
  const quarantined = Object.entries(lane.quarantine).reverse();
  return [
    `service  ${service}`,
    ...(globalHold.hold === undefined ? [] : [`all services are held ${saidBy(globalHold.hold)}`]),
    ...(lane.hold === undefined ? [] : [`held ${saidBy(lane.hold)}`]),
    '',
    ...(stages.length === 0 ? ['no stage has been reached yet'] : table([header, ...stages.map(stageCells)], width)),
    ...stages.flatMap(([name, stage]) => describeStage(name, stage, deliveredBefore(lane, name))),
    ...(quarantined.length === 0 ? [] : ['', 'quarantine (landfall unquarantine lets one out):']),
    ...table(quarantined.slice(0, mostQuarantined).map(quarantineCells), width),
    ...more(quarantined.length - mostQuarantined),
  ];
}

function quarantineCells([digest, { by, at, reason }]: [string, Quarantine]): string[] {
  return [`  ${digest}`, ago(at), by === undefined ? '' : `by ${plain(by)}`, plain(reason)];
}

function stageCells([name, { running }]: [string, StageLane]): string[] {
  if (running === undefined) return [name, 'nothing that Landfall knows of'];
  return [name, imageText(running), ago(running.since), shortRollout(running.rollout), beforeText(running)];
}

/** Enough of the digest to name it in the other commands. */
function imageText({ tag, digest }: Pick<Running, 'tag' | 'digest'>): string {
  return `${tag} ${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
}

function beforeText({ before }: Running): string {
  if (before.image !== undefined) return imageText(before.image);
  const [first, ...others] = before.running;
  if (first === undefined) return 'nothing';
  return `${plain(first.reference)}${others.length === 0 ? '' : ` and ${others.length} more`}`;
}

/** What went out once, and is neither what the stage runs nor an earlier run of it: what was rolled back. */
function deliveredBefore({ delivered = {}, stages }: LaneState, name: string): Delivered[] {
  const { running, earlier = [] } = stages[name] ?? {};
  const others = Object.hasOwn(delivered, name) ? (delivered[name] ?? []) : [];
  return others.filter(({ digest }) => ![running, ...earlier].some((run) => run?.digest === digest));
}

function describeStage(name: string, stage: StageLane, others: readonly Delivered[]): string[] {
  const { hold, pin, holder, begun, waiters, earlier = [] } = stage;
  const lines = [
    ...(hold === undefined ? [] : [`held ${saidBy(hold)}`]),
    ...(pin === undefined ? [] : [`stays on ${pin.digest} ${saidBy(pin)}`]),
    ...(holder === undefined ? [] : [`${shortRollout(holder)} ${begun ? 'changes it' : 'has its turn'}`]),
    ...(waiters.length === 0 ? [] : [`waiting: ${waiters.map(shortRollout).join(', ')}`]),
    ...earlier
      .slice(0, mostEarlier)
      .map((run) => `earlier: ${imageText(run)}, until ${ago(run.until)}, by ${shortRollout(run.rollout)}`),
    ...more(earlier.length - mostEarlier),
    ...others.slice(0, mostEarlier).map((image) => `once: ${imageText(image)}, ${ago(image.at)}`),
    ...more(others.length - mostEarlier),
  ];
  return lines.length === 0 ? [] : ['', `${name}:`, ...lines.map((line) => `  ${line}`)];
}

function saidBy({ by, at, reason }: Attribution): string {
  return `by ${plain(by)} ${ago(at)}${reason ? `: ${plain(reason)}` : ''}`;
}

function more(count: number): string[] {
  return count > 0 ? [`  and ${count} more: --json shows all`] : [];
}
