import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { configOption, jsonOption, rolloutArgument } from '../options.ts';

interface ShowOptions {
  readonly config: string;
  readonly json?: boolean;
}

export function addShow(program: Command, context: CliContext): void {
  program
    .command('show')
    .description('show a rollout: its steps, what blocks it, and what can be done')
    .argument('<rollout>', rolloutArgument)
    .addOption(jsonOption())
    .addOption(configOption(context))
    .action((rollout: string, options: ShowOptions) => printRollout(rollout, options, context));
}

async function printRollout(text: string, options: ShowOptions, context: CliContext): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const prefix = operations.parseInput(operations.rolloutPrefix, text);
  const { rollout, now } = await operations.withClient(operations.temporalTarget(options.config, context.env), async (client) => {
    const rollout = await operations.findRollout(client, prefix);
    return { rollout, now: await operations.readRollout(client, rollout) };
  });
  const { execution, state, retries } = now;
  if (options.json) return context.print(JSON.stringify({ rollout, execution, ...state, retries }, null, 2));
  const { describeRollout } = await import('./rollout-text.ts');
  for (const line of describeRollout(rollout, now, context)) context.print(line);
}
