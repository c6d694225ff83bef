import type { Command } from 'commander';
import type { RollbackAnswer } from '../../contracts/messages.ts';
import { nameOfPerson } from '../../domain/person.ts';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { Actor, LaneAnswer, LaneCommand } from '../../operations/index.ts';
import { actorOf } from '../actor.ts';
import { addDecisionOptions, type CliContext, type DecisionOptions } from '../context.ts';
import { UsageFailure } from '../errors.ts';
import { plain } from '../terminal.ts';

const argumentHelp = {
  service: 'name of the service',
  stage: 'the stage',
  digest: 'a digest, or the beginning of one that the lane knows: landfall lane SERVICE',
} as const;

/** Which lane, and what of it. */
type LaneArguments = { readonly [Name in keyof typeof argumentHelp]?: string | undefined };

/** What operators have a service's lane do. */
export function addLaneCommands(program: Command, context: CliContext): void {
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
    command.action(() => {
      const about: LaneArguments = Object.fromEntries(names.map((name, index) => [name, command.args[index]]));
      return runLaneCommand(verb, about, command.opts<DecisionOptions>(), context);
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
        return await runLaneCommand(verb, { service, stage }, options, context);
      });
  }
}

async function runLaneCommand(
  verb: LaneCommand['verb'],
  about: LaneArguments,
  options: DecisionOptions,
  context: CliContext,
): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const { config, json, reason } = options;
  const input = operations.parseInput(operations.laneCommandInput, { ...about, verb, reason });
  const actor = await actorOf(options, context);
  const configuration = () => operations.readConfiguration(config, context);
  const { command, answer } = await operations.withClient(config, context.env, (client) =>
    operations.commandLane({ client, configuration }, input, actor),
  );
  const { service } = command;
  if (json) return context.print(JSON.stringify({ service, ...answer }, null, 2));
  context.print(`${service}: ${describe(command, answer)} by ${nameOfActor(actor)}`);
  for (const line of 'workflow' in answer ? describeTerms(answer) : []) context.print(line);
}

async function runGlobalHold(verb: 'hold' | 'release', options: DecisionOptions, context: CliContext): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const { config, json, reason } = options;
  const input = operations.parseInput(operations.globalHoldInput, { verb, reason });
  const actor = await actorOf(options, context);
  const hold = await operations.withClient(config, context.env, (client) => operations.commandGlobalHold(client, input, actor));
  if (json) return context.print(JSON.stringify(hold, null, 2));
  const by = nameOfActor(actor);
  context.print(
    verb === 'hold'
      ? `all services are held by ${by}: nothing but rollbacks changes what runs, until landfall release --all`
      : `the global hold is over: released by ${by}`,
  );
}

function nameOfActor({ name, tokenHash }: Actor): string {
  return nameOfPerson({ by: name, verified: tokenHash !== undefined });
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

function describe(command: LaneCommand, answer: LaneAnswer): string {
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
