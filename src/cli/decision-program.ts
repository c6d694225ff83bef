import type { Command } from 'commander';
import type { DecideOptions, Verb } from './decide-command.ts';
import type { TokenOptions } from './operator-command.ts';
import { asOption, configOption, jsonOption, reasonOption } from './options.ts';
import type { Surroundings } from './terminal.ts';

export const rolloutArgument = 'id of the rollout, or any beginning of it that only one has';

/** What operators say to a rollout, and how they show that it is they. */
export function addDecisions(program: Command, surroundings: Surroundings): void {
  addApprove(program, surroundings);
  for (const verb of ['retry', 'skip', 'reject'] as const) addStepDecision(program, verb, surroundings);
  addAbort(program, surroundings);
  addOperator(program, surroundings);
}

const stepDecisions = {
  retry: 'try a blocked step again',
  skip: 'go on without a blocked step: a waiver, which needs a reason',
  reject: 'end the rollout because of a step that is blocked or waits for people, and quarantine its digest',
} as const satisfies Partial<Record<Verb, string>>;

function addStepDecision(program: Command, verb: keyof typeof stepDecisions, surroundings: Surroundings): void {
  program
    .command(verb)
    .description(stepDecisions[verb])
    .argument('<rollout>', rolloutArgument)
    .argument('[step]', 'the step, where more than one is blocked')
    .option('--stage <name>', 'the stage of the step')
    .addOption(reasonOption())
    .addOption(asOption())
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (rollout: string, step: string | undefined, options: DecideOptions) =>
      (await import('./decide-command.ts')).decide(
        verb,
        { rollout, ...(step === undefined ? {} : { step }) },
        options,
        surroundings,
      ),
    );
}

function addApprove(program: Command, surroundings: Surroundings): void {
  program
    .command('approve')
    .description('let a rollout go on into a stage that waits for approval; it holds for this digest alone')
    .argument('<rollout>', rolloutArgument)
    .option('--stage <name>', 'the stage, where more than one waits')
    .addOption(reasonOption())
    .addOption(asOption())
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (rollout: string, options: DecideOptions) =>
      (await import('./decide-command.ts')).decide('approve', { rollout }, options, surroundings),
    );
}

function addAbort(program: Command, surroundings: Surroundings): void {
  program
    .command('abort')
    .description('stop a rollout, wherever it is')
    .argument('<rollout>', rolloutArgument)
    .addOption(reasonOption())
    .option('-y, --yes', 'do not ask whether it is meant')
    .addOption(asOption())
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (rollout: string, options: DecideOptions) =>
      (await import('./decide-command.ts')).decide('abort', { rollout }, options, surroundings),
    );
}

function addOperator(program: Command, surroundings: Surroundings): void {
  program
    .command('operator')
    .description('the people whose decisions count')
    .command('token')
    .description('make a new token for an operator, and its hash for the environment of Landfall')
    .argument('[name]', 'name of the operator')
    .addOption(jsonOption())
    .action(async (name: string | undefined, options: TokenOptions) =>
      (await import('./operator-command.ts')).printToken(name, options, surroundings),
    );
}
