import type { Command } from 'commander';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { Started } from '../../operations/index.ts';
import { actorOf } from '../actor.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { plain } from '../terminal.ts';

type TriggerOptions = CommandOptions & { readonly service?: string };

export function addTrigger(program: Command, context: CliContext): void {
  const command = program
    .command('trigger')
    .description('roll an image out as if it had just been pushed, whatever the last verdict was')
    .argument('<image>', 'IMAGE[:TAG][@DIGEST], or the name of a service for its image; tag latest where none is given')
    .option('-s, --service <name>', 'only for this service');
  addCommandOptions(command, context).action(async (image: string, { config, json, service }: TriggerOptions) => {
    const operations = await import('../../operations/index.ts');
    const input = operations.parseInput(operations.triggerInput, { image, service });
    const triggers = operations.planTriggers(await operations.readConfiguration(config, context), input);
    const actor = await actorOf({}, context);
    const started = await operations.withClient(config, context.env, (client) => operations.trigger(client, triggers, actor));
    if (json) return context.print(JSON.stringify(started, null, 2));
    const lines = started.flatMap((entry, index) => describeStarted(entry, triggers[index]?.tag));
    for (const line of lines) context.print(line);
  });
}

function describeStarted({ service, workflow, rollouts, note }: Started, tag: string | undefined): string[] {
  if (rollouts.length > 0) {
    return rollouts.map(({ rollout, wasRunning }) => {
      const what = wasRunning ? 'was running already, and goes on: ' : '';
      return `${service}: ${what}landfall show ${shortRollout(rollout)}`;
    });
  }
  if (note !== undefined) return [`${service}: nothing started yet: ${plain(note)} (${workflow})`];
  return [`${service}: the registry is being asked what ${tag} is now (${workflow}): landfall list --service ${service}`];
}
