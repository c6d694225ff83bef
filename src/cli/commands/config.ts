import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { type CliContext, configOption } from '../context.ts';
import { exitCodes, problemLines } from '../errors.ts';
import { isProblem, printDiagnoses } from './doctor.ts';

interface CheckOptions {
  readonly config: string;
  /** Whether the secrets that the file refers to must be there. */
  readonly secrets: boolean;
  /** Whether what the file names is asked whether it is there. */
  readonly connect?: boolean;
}

export function addConfig(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  const { env, loadKinds, print, warn } = context;
  const config = program.command('config').description('the configuration file');
  config
    .command('schema')
    .description('print the JSON Schema of landfall.yaml, for editors')
    .action(async () => {
      const { configurationJsonSchema } = await import('../../config/schema.ts');
      print(JSON.stringify(configurationJsonSchema(await loadKinds()), null, 2));
    });
  config
    .command('check')
    .description('say all that is wrong with a configuration file, one line per problem; warn of what is hardly meant')
    .argument('[file]', 'the same as --config')
    .option(...configOption(context))
    .option('--no-secrets', 'do not ask whether the secrets are there, as in CI')
    .option('--connect', 'also ask registries, repositories, hosts and whom to tell whether they are there and let us in')
    .action(async (argument: string | undefined, { config, secrets, connect }: CheckOptions) => {
      const { loadConfiguration } = await import('../../config/load.ts');
      const { dropInOf } = await import('../../config/kinds.ts');
      const file = argument ?? config;
      const kinds = await loadKinds();
      // Without a file, what the environment stands for is checked, as the service would use it.
      const text = existsSync(file) ? undefined : dropInOf(kinds, env)?.text;
      const loaded = loadConfiguration(file, env, kinds, { text, ...(!secrets && { secretsFor: [] }) });
      if ('problems' in loaded) {
        for (const line of problemLines(loaded.problems)) print(line);
        return setExitCode(exitCodes.refused);
      }
      for (const line of problemLines(loaded.warnings)) warn(`warning: ${line}`);
      const { length } = loaded.configuration.services;
      print(`${file}: ${length} ${length === 1 ? 'service' : 'services'}, fine`);
      if (!connect) return;
      const found = await context.diagnoseOutside(loaded.configuration, env);
      printDiagnoses(found, context);
      if (found.some(isProblem)) setExitCode(exitCodes.refused);
    });
}
