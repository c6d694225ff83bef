import { Command, InvalidArgumentError, Option } from 'commander';
import { ends, type RolloutStatus } from '../domain/rollout-state.ts';
import { addAudit } from './audit-program.ts';
import type { CheckOptions } from './config-command.ts';
import { addDecisions, rolloutArgument } from './decision-program.ts';
import { addLaneCommands } from './lane-program.ts';
import type { ListOptions } from './list-command.ts';
import { configOption, jsonOption } from './options.ts';
import type { ShowOptions } from './show-command.ts';
import type { Surroundings } from './terminal.ts';
import type { TriggerOptions } from './trigger-command.ts';

/** Commands are imported when they run: Temporal's client takes longer to load than `config check` takes as a whole. */
export function createProgram(surroundings: Surroundings, setExitCode: (code: number) => void): Command {
  const program = new Command('landfall')
    .description('Sees and steers what Landfall does with pushed images.')
    .showHelpAfterError('(landfall --help tells more)')
    .configureOutput({
      writeOut: (text) => surroundings.print(text.trimEnd()),
      writeErr: (text) => surroundings.warn(text.trimEnd()),
    })
    .exitOverride();
  addConfig(program, surroundings, setExitCode);
  addList(program, surroundings);
  addShow(program, surroundings);
  addDecisions(program, surroundings);
  addLaneCommands(program, surroundings);
  addTrigger(program, surroundings);
  addAudit(program, surroundings);
  return program;
}

const statuses: readonly RolloutStatus[] = ['running', 'waiting', 'blocked', ...ends];

function addConfig(program: Command, surroundings: Surroundings, setExitCode: (code: number) => void): void {
  const config = program.command('config').description('the configuration file');
  config
    .command('schema')
    .description('print the JSON Schema of landfall.yaml, for editors')
    .action(async () => setExitCode((await import('./config-command.ts')).printSchema(surroundings)));
  config
    .command('check')
    .description('say all that is wrong with a configuration file, one line per problem')
    .argument('[file]', 'the same as --config')
    .addOption(configOption(surroundings))
    .option('--no-secrets', 'do not ask whether the secrets are there, as in CI')
    .action(async (file: string | undefined, options: CheckOptions) => {
      const { checkConfiguration } = await import('./config-command.ts');
      setExitCode(checkConfiguration({ ...options, config: file ?? options.config }, surroundings));
    });
}

function addList(program: Command, surroundings: Surroundings): void {
  program
    .command('list')
    .description('list rollouts and the roll-backs that operators asked for, the newest first')
    .option('-s, --service <name>', 'only those of this service')
    .addOption(new Option('--status <status>', 'only those with this status').choices(statuses))
    .option('-n, --limit <number>', 'at most so many', parseLimit, 20)
    .option('--all-runs', 'earlier runs of a rollout too, not only the newest')
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (options: ListOptions) => (await import('./list-command.ts')).list(options, surroundings));
}

function addShow(program: Command, surroundings: Surroundings): void {
  program
    .command('show')
    .description('show a rollout: its steps, what blocks it, and what can be done')
    .argument('<rollout>', rolloutArgument)
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (rollout: string, options: ShowOptions) =>
      (await import('./show-command.ts')).show(rollout, options, surroundings),
    );
}

function addTrigger(program: Command, surroundings: Surroundings): void {
  program
    .command('trigger')
    .description('roll an image out as if it had just been pushed, whatever the last verdict was')
    .argument('<image>', 'IMAGE[:TAG][@DIGEST], or the name of a service for its image; tag latest where none is given')
    .option('-s, --service <name>', 'only for this service')
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (image: string, options: TriggerOptions) =>
      (await import('./trigger-command.ts')).trigger(image, options, surroundings),
    );
}

function parseLimit(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError('expected a whole number from 1 to 99999');
}
