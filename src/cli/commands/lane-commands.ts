import type { Command } from 'commander';
import type { RollbackAnswer } from '../../contracts/messages.ts';
import { nameOfPerson } from '../../domain/person.ts';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { LaneAnswer, LaneCommand, Operations } from '../../operations/index.ts';
import { addDecisionOptions, type CliContext, type DecisionOptions } from '../context.ts';
import { CommandFailure, exitCodes, UsageFailure } from '../errors.ts';
import { withOperations } from '../reach.ts';
import { plain } from '../terminal.ts';
import { addWaitOptions, awaitRollouts, goodEnds, timeoutOf, type WaitOptions } from '../wait.ts';

const argumentHelp = {
  service: 'name of the service',
  stage: 'the stage',
  digest: 'a digest, or the beginning of one that the lane knows: landfall lane SERVICE',
} as const;

interface LaneOptions extends DecisionOptions, WaitOptions {
  /** Rolls back without asking whether that is meant. */
  readonly yes?: boolean;
}

/** Which lane, and what of it. */
type LaneArguments = { readonly [Name in keyof typeof argumentHelp]?: string | undefined };

/** What operators have a service's lane do. */
export function addLaneCommands(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  addHoldAndRelease(program, context);
  for (const [verb, description, ...names] of [
    ['pin', 'keep a stage on a digest until it is released', 'service', 'stage', 'digest'],
    ['promote', 'bring an earlier digest to a stage', 'service', 'stage', 'digest'],
    ['quarantine', 'never roll a digest out again by itself', 'service', 'digest'],
    ['unquarantine', 'let a digest be rolled out again', 'service', 'digest'],
    ['rollback', 'undo what a stage runs, and quarantine its digest; needs a reason', 'service', 'stage'],
  ] as const) {
    const command = laneCommand(program, verb, description, context);
    for (const name of names) command.argument(`<${name}>`, argumentHelp[name]);
    if (verb === 'rollback') command.option('-y, --yes', 'do not ask whether it is meant');
    if (verb === 'rollback' || verb === 'promote') addWaitOptions(command);
    command.action(async () => {
      const about: LaneArguments = Object.fromEntries(names.map((name, index) => [name, command.args[index]]));
      const isAsMeant = await runLaneCommand(verb, about, command.opts<LaneOptions>(), context);
      if (!isAsMeant) setExitCode(exitCodes.refused);
    });
  }
}

function laneCommand(program: Command, verb: LaneCommand['verb'], description: string, context: CliContext): Command {
  return addDecisionOptions(program.command(verb).description(description), 'who says so', context);
}

interface HoldOptions extends DecisionOptions {
  readonly stage?: string;
  readonly all?: boolean;
}

function addHoldAndRelease(program: Command, context: CliContext): void {
  for (const [verb, description] of [
    ['hold', 'change nothing that a service runs until it is released; needs a reason. Rollbacks are never held'],
    ['release', 'end a hold or a pin'],
  ] as const) {
    laneCommand(program, verb, description, context)
      .argument('[service]', 'name of the service; or --all')
      .option('--stage <name>', 'only this stage')
      .option('--all', 'the global hold: all services')
      .action(async (service: string | undefined, options: HoldOptions) => {
        const { stage, all } = options;
        if ((service === undefined) === !all || (all && stage !== undefined)) {
          throw new UsageFailure(
            `expected a service (and perhaps --stage), or --all: landfall ${verb} SERVICE, landfall ${verb} --all`,
          );
        }
        if (service === undefined) return await runGlobalHold(verb, options, context);
        await runLaneCommand(verb, { service, stage }, options, context);
      });
  }
}

/** @returns whether it has come to what was meant, as far as that was waited for */
async function runLaneCommand(
  verb: LaneCommand['verb'],
  about: LaneArguments,
  options: LaneOptions,
  context: CliContext,
): Promise<boolean> {
  const inputs = await import('../../operations/inputs.ts');
  const { json, reason } = options;
  const input = inputs.parseInput(inputs.laneCommandInput, { ...about, verb, reason });
  timeoutOf(options);
  return await withOperations(options, context, async (operations) => {
    const by = nameOfPerson(await operations.actor());
    const seen = input.verb === 'rollback' && !options.yes ? await confirmRollback(input, operations, context) : {};
    const { command, answer } = await operations.commandLane({ ...input, ...seen });
    const { service } = command;
    if (!json) {
      context.print(`${service}: ${describe(command, answer, context)} by ${by}`);
      for (const line of 'workflow' in answer ? describeTerms(answer, context) : []) context.print(line);
    }
    const { workflow, at: notBefore } = 'workflow' in answer ? answer : {};
    const rollouts = options.wait && workflow !== undefined ? [workflow] : [];
    const [state] = await awaitRollouts(operations, rollouts, { ...options, ...(notBefore && { notBefore }) }, context);
    if (json) context.print(JSON.stringify({ service, ...answer, ...(state !== undefined && { state }) }, null, 2));
    return state === undefined || (verb === 'rollback' ? ['rolled-back', 'unchanged'] : goodEnds).includes(state.status);
  });
}

/** Whoever is asked sees what it comes to. @returns what that was about: it is done, or nothing is */
async function confirmRollback(
  { service, stage }: { readonly service: string; readonly stage: string },
  operations: Operations,
  { confirm }: CliContext,
): Promise<{ readonly digest?: string }> {
  if (confirm === undefined) return {};
  const { foreseeRollback } = await import('../../operations/lane-terms.ts');
  const { lane } = await operations.showLane(service);
  const { from, to, behind } = foreseeRollback(lane, stage);
  const waits = behind === undefined ? '' : ` It waits for ${shortRollout(behind)}, which is changing the stage.`;
  const target = to === '' ? 'nothing (it was the first)' : plain(to);
  if (await confirm(`Roll ${service} back in ${stage}, from ${plain(from)} to ${target}?${waits}`)) {
    const digest = lane.stages[stage]?.running?.digest;
    return digest === undefined ? {} : { digest };
  }
  throw new CommandFailure(`${service}: ${stage} stays as it is: nothing was rolled back`);
}

async function runGlobalHold(verb: 'hold' | 'release', options: DecisionOptions, context: CliContext): Promise<void> {
  const inputs = await import('../../operations/inputs.ts');
  const { json, reason } = options;
  const input = inputs.parseInput(inputs.globalHoldInput, { verb, reason });
  const { hold, by } = await withOperations(options, context, async (operations) => ({
    by: nameOfPerson(await operations.actor()),
    hold: await operations.commandGlobalHold(input),
  }));
  if (json) return context.print(JSON.stringify(hold, null, 2));
  context.print(
    verb === 'hold'
      ? `all services are held by ${by}: nothing but rollbacks changes what runs, until ${context.command} release --all`
      : `the global hold is over: released by ${by}`,
  );
}

/** What a rollback comes to, and what it waits for. */
function describeTerms({ from, to, behind, unpins }: Partial<RollbackAnswer>, { command }: CliContext): string[] {
  return [
    ...(from === undefined ? [] : [`  from ${plain(from)}`]),
    ...(to ? [`  to ${plain(to)}`] : []),
    ...(behind === undefined
      ? []
      : [`  it waits for ${shortRollout(behind)}, which is changing the stage: ${command} show ${shortRollout(behind)}`]),
    ...(unpins ? ['  the pin of what is rolled back is released'] : []),
  ];
}

function describe(command: LaneCommand, answer: LaneAnswer, context: Pick<CliContext, 'command'>): string {
  const workflow = 'workflow' in answer ? `${context.command} show ${shortRollout(answer.workflow)}` : '';
  switch (command.verb) {
    case 'hold':
      return `${command.stage ?? 'all stages'} held`;
    case 'release':
      return `${command.stage ?? 'all stages'} released`;
    case 'pin':
      return `${command.stage} pinned to ${command.digest}`;
    case 'quarantine':
      return `${command.digest} quarantined`;
    case 'unquarantine':
      return `${command.digest} out of quarantine`;
    case 'rollback':
      return `${command.stage} is being rolled back (${workflow})`;
    case 'promote':
      return `${command.digest} is being promoted to ${command.stage} (${workflow})`;
  }
}
