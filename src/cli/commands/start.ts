import type { Command } from 'commander';
import { type CliContext, configOption } from '../context.ts';

export function addStart(program: Command, context: CliContext): void {
  program
    .command('start')
    .description('run the service here, until Ctrl-C: webhooks, rollouts, and a Temporal of its own where none is named')
    .option(...configOption(context))
    .action(async ({ config }: { readonly config: string }) => await context.startService(config));
}
