import type { Command } from 'commander';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { ImageExplanation, ServiceExplanation } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { withOperations } from '../reach.ts';
import { plain, table } from '../terminal.ts';

export function addWhy(program: Command, context: CliContext): void {
  const command = program
    .command('why')
    .description('what a push of an image would come to now, and why: who follows it, what registry and lane say; starts nothing')
    .argument('<image>', 'IMAGE[:TAG][@DIGEST]; tag latest where none is given');
  addCommandOptions(command, context).action(async (image: string, options: CommandOptions) => {
    const inputs = await import('../../operations/inputs.ts');
    const input = inputs.parseInput(inputs.explainInput, { image });
    const explanation = await withOperations(options, context, (operations) => operations.explainImage(input));
    if (options.json) return context.print(JSON.stringify(explanation, null, 2));
    for (const line of describeExplanation(explanation)) context.print(line);
  });
}

function describeExplanation({ repository, tag, digest, registry, services, followed }: ImageExplanation): string[] {
  const known = followed.length === 0 ? [] : ['what is followed:', ...followed.map((line) => `  ${plain(line)}`)];
  return [
    ...table([
      ['image', `${repository}:${tag}`],
      ['registry', plain(digest ?? registry ?? 'not asked')],
    ]),
    ...(services.length === 0 ? ['', 'nobody follows it', ...known] : services.flatMap(describeService)),
  ];
}

const words = { starts: 'yes', ignored: 'no', refused: 'no', unknown: 'unknown' } as const;

function describeService({ service, policy, verdict, text, candidates, more, stages }: ServiceExplanation): string[] {
  const rows = stages.map(({ stage, waits, behind }) => [
    `  ${stage}`,
    plain([waits, behind && `behind ${shortRollout(behind)}`].filter(Boolean).join('; ') || 'would not wait'),
  ]);
  return [
    '',
    `${service} (follows ${plain(policy)}): ${words[verdict]}, ${plain(text)}`,
    ...table(rows),
    ...(candidates.length === 0 ? [] : ['  tags in the registry:']),
    ...table(candidates.map((candidate) => [`    ${plain(candidate.tag)}`, candidate.text])),
    ...(more > 0 ? [`    and ${more} more that are earlier, or not followed`] : []),
  ];
}
