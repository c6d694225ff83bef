import type { Command } from 'commander';
import type { RollbackAnswer } from '../../contracts/messages.ts';
import { nameOfPerson } from '../../domain/person.ts';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { LaneCommand, LaneCommandResult } from '../../operations/index.ts';
import type { CliContext } from '../context.ts';
import { UsageFailure } from '../errors.ts';
import { byOption, configOption, jsonOption, nameOf, reasonOption } from '../options.ts';
import { plain } from '../terminal.ts';

interface LaneCommandOptions {
  readonly config: string;
  readonly reason?: string;
  readonly as?: string;
  readonly json?: boolean;
}

/** Which lane, and what of it. */
interface LaneArguments {
  readonly service: string;
  readonly stage?: string | undefined;
  readonly digest?: string;
}

const serviceArgument = ['<service>', 'name of the service'] as const;
const stageArgument = ['<stage>', 'the stage'] as const;
const digestArgument = ['<digest>', 'a digest, or the beginning of one that the lane knows: landfall lane SERVICE'] as const;

/** What operators have a service's lane do. */
export function addLaneCommands(program: Command, context: CliContext): void {
  addHoldAndRelease(program, context);
  for (const [verb, description] of [
    ['pin', 'keep a stage on a digest until it is released'],
    ['promote', 'bring an earlier digest to a stage'],
  ] as const) {
    laneCommand(program, verb, description, context)
      .argument(...serviceArgument)
      .argument(...stageArgument)
      .argument(...digestArgument)
      .action((service: string, stage: string, digest: string, options: LaneCommandOptions) =>
        runLaneCommand(verb, { service, stage, digest }, options, context),
      );
  }
  for (const [verb, description] of [
    ['quarantine', 'never roll a digest out again by itself'],
    ['unquarantine', 'let a digest be rolled out again'],
  ] as const) {
    laneCommand(program, verb, description, context)
      .argument(...serviceArgument)
      .argument(...digestArgument)
      .action((service: string, digest: string, options: LaneCommandOptions) =>
        runLaneCommand(verb, { service, digest }, options, context),
      );
  }
  laneCommand(program, 'rollback', 'undo what a stage runs, and quarantine its digest; needs a reason', context)
    .argument(...serviceArgument)
    .argument(...stageArgument)
    .action((service: string, stage: string, options: LaneCommandOptions) =>
      runLaneCommand('rollback', { service, stage }, options, context),
    );
}

function laneCommand(program: Command, verb: LaneCommand['verb'], description: string, context: CliContext): Command {
  return program
    .command(verb)
    .description(description)
    .addOption(reasonOption())
    .addOption(byOption())
    .addOption(jsonOption())
    .addOption(configOption(context));
}

interface HoldOptions extends LaneCommandOptions {
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
        return await runLaneCommand(verb, { service, stage }, options, context);
      });
  }
}

async function runLaneCommand(
  verb: LaneCommand['verb'],
  about: LaneArguments,
  options: LaneCommandOptions,
  context: CliContext,
): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const input = operations.parseInput(operations.laneCommandInput, { ...about, verb, reason: options.reason });
  const actor = { name: nameOf(options, context) };
  const configuration = () => operations.readConfiguration(options.config, context);
  const { command, answer } = await operations.withClient(operations.temporalTarget(options.config, context.env), (client) =>
    operations.commandLane({ client, configuration }, input, actor),
  );
  const { service } = command;
  if (options.json) return context.print(JSON.stringify({ service, ...answer }, null, 2));
  context.print(`${service}: ${describe(command, answer)} by ${nameOfPerson({ by: actor.name, verified: false })}`);
  for (const line of 'workflow' in answer ? describeTerms(answer) : []) context.print(line);
}

async function runGlobalHold(verb: 'hold' | 'release', options: LaneCommandOptions, context: CliContext): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const input = operations.parseInput(operations.globalHoldInput, { verb, reason: options.reason });
  const actor = { name: nameOf(options, context) };
  const hold = await operations.withClient(operations.temporalTarget(options.config, context.env), (client) =>
    operations.commandGlobalHold(client, input, actor),
  );
  if (options.json) return context.print(JSON.stringify(hold, null, 2));
  const by = nameOfPerson({ by: actor.name, verified: false });
  context.print(
    verb === 'hold'
      ? `all services are held by ${by}: nothing but rollbacks changes what runs, until landfall release --all`
      : `the global hold is over: released by ${by}`,
  );
}

/** What a rollback comes to, and what it waits for. */
function describeTerms({ from, to, behind, unpins }: Partial<RollbackAnswer>): string[] {
  return [
    ...(from === undefined ? [] : [`  from ${plain(from)}`]),
    ...(to ? [`  to ${plain(to)}`] : []),
    ...(behind === undefined
      ? []
      : [`  it waits for ${shortRollout(behind)}, which is changing the stage: landfall show ${shortRollout(behind)}`]),
    ...(unpins ? ['  the pin of what is rolled back is released'] : []),
  ];
}

function describe(command: LaneCommand, answer: LaneCommandResult['answer']): string {
  const workflow = 'workflow' in answer ? `landfall show ${shortRollout(answer.workflow)}` : '';
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
