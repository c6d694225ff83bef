import type { Command } from 'commander';
import { UsageFailure } from './failure.ts';
import type { LaneOptions } from './lane-command.ts';
import { byOption, configOption, jsonOption, reasonOption } from './options.ts';
import type { Order, SteerOptions } from './steer-command.ts';
import type { Surroundings } from './terminal.ts';

const serviceArgument = ['<service>', 'name of the service'] as const;
const digestArgument = ['<digest>', 'a digest, or the beginning of one that the lane knows: landfall lane SERVICE'] as const;

/** What operators say to a service's lane, and what they see of it. */
export function addLaneCommands(program: Command, surroundings: Surroundings): void {
  const run = async (service: string, order: Order, options: SteerOptions) =>
    (await import('./steer-command.ts')).steer(service, order, options, surroundings);
  addLane(program, surroundings);
  addHoldAndRelease(program, run, surroundings);
  steering(program, 'pin', 'keep a stage on a digest until it is released', surroundings)
    .argument(...serviceArgument)
    .argument('<stage>', 'the stage')
    .argument(...digestArgument)
    .action((service: string, stage: string, digest: string, options: SteerOptions) =>
      run(service, { verb: 'pin', stage, digest }, options),
    );
  for (const [verb, description] of [
    ['quarantine', 'never roll a digest out again by itself'],
    ['unquarantine', 'let a digest be rolled out again'],
  ] as const) {
    steering(program, verb, description, surroundings)
      .argument(...serviceArgument)
      .argument(...digestArgument)
      .action((service: string, digest: string, options: SteerOptions) => run(service, { verb, digest }, options));
  }
  steering(program, 'rollback', 'undo what a stage runs, and quarantine its digest; needs a reason', surroundings)
    .argument(...serviceArgument)
    .argument('<stage>', 'the stage')
    .action((service: string, stage: string, options: SteerOptions) => run(service, { verb: 'rollback', stage }, options));
  steering(program, 'promote', 'bring an earlier digest to a stage', surroundings)
    .argument(...serviceArgument)
    .argument('<stage>', 'the stage')
    .argument(...digestArgument)
    .action((service: string, stage: string, digest: string, options: SteerOptions) =>
      run(service, { verb: 'promote', stage, digest }, options),
    );
}

function steering(program: Command, verb: Order['verb'], description: string, surroundings: Surroundings): Command {
  return program
    .command(verb)
    .description(description)
    .addOption(reasonOption())
    .addOption(byOption())
    .addOption(jsonOption())
    .addOption(configOption(surroundings));
}

interface HoldOptions extends SteerOptions {
  readonly stage?: string;
  readonly all?: boolean;
}

function addHoldAndRelease(
  program: Command,
  run: (service: string, order: Order, options: SteerOptions) => Promise<void>,
  surroundings: Surroundings,
): void {
  for (const [verb, description] of [
    ['hold', 'change nothing that a service runs until it is released; needs a reason. Roll-backs are never held'],
    ['release', 'end a hold or a pin'],
  ] as const) {
    steering(program, verb, description, surroundings)
      .argument('[service]', 'name of the service; or --all')
      .option('--stage <name>', 'only this stage')
      .option('--all', 'the line: all services')
      .action(async (service: string | undefined, options: HoldOptions) => {
        const { stage, all } = options;
        if ((service === undefined) === !all || (all && stage !== undefined)) {
          throw new UsageFailure(
            `expected a service (and perhaps --stage), or --all: landfall ${verb} SERVICE, landfall ${verb} --all`,
          );
        }
        if (service === undefined) return (await import('./steer-command.ts')).steerLine(verb, options, surroundings);
        return run(service, { verb, ...(stage === undefined ? {} : { stage }) }, options);
      });
  }
}

function addLane(program: Command, surroundings: Surroundings): void {
  program
    .command('lane')
    .description('show what each stage of a service runs, since when, and what keeps it so')
    .argument(...serviceArgument)
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (service: string, options: LaneOptions) =>
      (await import('./lane-command.ts')).showLane(service, options, surroundings),
    );
}
