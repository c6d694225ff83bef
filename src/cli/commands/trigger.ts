import type { Command } from 'commander';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { Started } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { exitCodes } from '../errors.ts';
import { withOperations } from '../reach.ts';
import { plain } from '../terminal.ts';
import { addWaitOptions, awaitRollouts, goodEnds, timeoutOf, type WaitOptions } from '../wait.ts';

type TriggerOptions = CommandOptions & WaitOptions & { readonly service?: string };

export function addTrigger(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  const command = program
    .command('trigger')
    .description('roll an image out as if it had just been pushed, whatever the last verdict was')
    .argument('<image>', 'IMAGE[:TAG][@DIGEST], or the name of a service for its image; tag latest where none is given')
    .option('-s, --service <name>', 'only for this service');
  addCommandOptions(addWaitOptions(command), context).action(async (image: string, options: TriggerOptions) => {
    const { json, service, wait } = options;
    const inputs = await import('../../operations/inputs.ts');
    const input = inputs.parseInput(inputs.triggerInput, { image, service });
    timeoutOf(options);
    await withOperations(options, context, async (operations) => {
      const started = await operations.trigger(input);
      const lines = started.flatMap((entry) => describeStarted(entry, context));
      if (!json) for (const line of lines) context.print(line);
      if (!wait) return json && context.print(JSON.stringify(started, null, 2));
      const rollouts = started.flatMap((entry) => entry.rollouts.map(({ rollout }) => rollout));
      const states = await awaitRollouts(operations, rollouts, options, context);
      if (json)
        context.print(
          JSON.stringify(
            started.map((entry) => ({
              ...entry,
              states: entry.rollouts.map(({ rollout }) => states[rollouts.indexOf(rollout)]),
            })),
            null,
            2,
          ),
        );
      const isAsMeant = started.every((entry) => entry.rollouts.length > 0);
      if (!isAsMeant || !states.every(({ status }) => goodEnds.includes(status))) setExitCode(exitCodes.refused);
    });
  });
}

function describeStarted(
  { service, tag, workflow, rollouts, note }: Started,
  { command }: Pick<CliContext, 'command'>,
): string[] {
  if (rollouts.length > 0) {
    return rollouts.map(({ rollout, wasRunning }) => {
      const what = wasRunning ? 'was running already, and goes on' : 'started';
      return `${service}: ${what}: ${command} show ${shortRollout(rollout)}`;
    });
  }
  if (note !== undefined) return [`${service}: nothing started yet: ${plain(note)} (${workflow})`];
  return [`${service}: the registry is being asked what ${tag} is now (${workflow}): ${command} list --service ${service}`];
}
