import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { configOption, jsonOption } from '../options.ts';
import { describeLane } from './lane-text.ts';

interface LaneOptions {
  readonly config: string;
  readonly json?: boolean;
}

export function addLane(program: Command, context: CliContext): void {
  program
    .command('lane')
    .description('show what each stage of a service runs, since when, and what keeps it so')
    .argument('<service>', 'name of the service')
    .addOption(jsonOption())
    .addOption(configOption(context))
    .action((service: string, options: LaneOptions) => printLane(service, options, context));
}

async function printLane(text: string, options: LaneOptions, context: CliContext): Promise<void> {
  const operations = await import('../../operations/index.ts');
  const service = operations.parseInput(operations.serviceInput, text);
  const { lane, globalHold } = await operations.withClient(operations.temporalTarget(options.config, context.env), (client) =>
    operations.showLane(client, service),
  );
  if (options.json) return context.print(JSON.stringify({ service, globalHold, ...lane }, null, 2));
  for (const row of describeLane(service, lane, globalHold, context)) context.print(row);
}
