import type { Command } from 'commander';
import { nameOf, shortRollout } from '../../domain/rollout-state.ts';
import { addCommandOptions, type CliContext, type CommandOptions, rolloutArgument } from '../context.ts';
import { withOperations } from '../reach.ts';
import { markedLines, plain } from '../terminal.ts';

type LogsOptions = CommandOptions & { readonly stage?: string };

export function addLogs(program: Command, context: CliContext): void {
  const logs = program
    .command('logs')
    .description('print the last log lines of the containers that a rollout started or watched, of a service the newest')
    .argument('<rollout>', rolloutArgument)
    .argument('[step]', 'only of this step')
    .option('--stage <name>', 'only of this stage');
  addCommandOptions(logs, context).action(async (text: string, step: string | undefined, options: LogsOptions) => {
    const inputs = await import('../../operations/inputs.ts');
    const prefix = inputs.parseInput(inputs.rolloutPrefix, text);
    const { rollout, story } = await withOperations(options, context, async (operations) => {
      const rollout = await operations.findRollout(prefix);
      return { rollout, story: await operations.readStory(rollout) };
    });
    const wanted = story.logs.filter(
      (log) => (step ?? log.step) === log.step && (options.stage === undefined || options.stage === log.stage),
    );
    if (options.json) return context.print(JSON.stringify({ rollout, logs: wanted, artifacts: story.artifacts }, null, 2));
    for (const log of wanted) {
      context.print(`${nameOf(log)}:`);
      for (const line of markedLines(log.log)) context.print(line);
    }
    if (wanted.length === 0) context.warn(`no step of ${shortRollout(rollout)} has left log lines there: only what failed does`);
    for (const artifact of story.artifacts) context.warn(`in the artifacts folder: ${plain(artifact)}`);
  });
}
