import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { UsageFailure } from '../errors.ts';

export function addSchema(program: Command, context: CliContext): void {
  program
    .command('schema')
    .description('print the JSON Schema of what a command prints with --json; that of landfall.yaml: config schema')
    .argument('<command>', 'name of the command')
    .action(async (name: string) => {
      const [{ z }, { jsonSchemas }] = await Promise.all([import('zod'), import('../json-schemas.ts')]);
      const schema = Object.hasOwn(jsonSchemas, name) ? jsonSchemas[name] : undefined;
      if (schema === undefined) throw new UsageFailure(`expected one of ${Object.keys(jsonSchemas).join(', ')}, found '${name}'`);
      context.print(JSON.stringify(z.toJSONSchema(schema), null, 2));
    });
}
