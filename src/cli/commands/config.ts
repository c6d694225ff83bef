import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { exitCodes, problemLines } from '../errors.ts';
import { configOption } from '../options.ts';

interface CheckOptions {
  readonly config: string;
  /** Whether the secrets that the file refers to must be there. */
  readonly secrets: boolean;
}

export function addConfig(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  const config = program.command('config').description('the configuration file');
  config
    .command('schema')
    .description('print the JSON Schema of landfall.yaml, for editors')
    .action(async () => {
      const { configurationJsonSchema } = await import('../../config/schema.ts');
      context.print(JSON.stringify(configurationJsonSchema(context.kinds), null, 2));
    });
  config
    .command('check')
    .description('say all that is wrong with a configuration file, one line per problem')
    .argument('[file]', 'the same as --config')
    .addOption(configOption(context))
    .option('--no-secrets', 'do not ask whether the secrets are there, as in CI')
    .action(async (file: string | undefined, options: CheckOptions) =>
      setExitCode(await checkConfiguration({ ...options, config: file ?? options.config }, context)),
    );
}

async function checkConfiguration({ config: file, secrets }: CheckOptions, { env, kinds, print }: CliContext): Promise<number> {
  const { loadConfiguration } = await import('../../config/load.ts');
  const loaded = loadConfiguration(file, env, kinds, secrets ? {} : { secretsFor: [] });
  if ('problems' in loaded) {
    for (const line of problemLines(loaded.problems)) print(line);
    return exitCodes.refused;
  }
  const { length } = loaded.configuration.services;
  print(`${file}: ${length} ${length === 1 ? 'service' : 'services'}, fine`);
  return exitCodes.fine;
}
