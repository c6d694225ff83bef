import type { Command } from 'commander';
import { shortRollout } from '../../domain/rollout-state.ts';
import type { AskingRollout, Overview, ServiceOverview, StageOverview } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { withOperations } from '../reach.ts';
import { ago, coloured, plain, table } from '../terminal.ts';
import { heldLine } from './list.ts';

export function addStatus(program: Command, context: CliContext): void {
  const command = program
    .command('status')
    .description('all at once: what waits for a person, what is under way, what each service runs in each stage, what is held');
  addCommandOptions(command, context).action(async (options: CommandOptions) => {
    const { config, json } = options;
    const { overview, isConfigured } = await withOperations(options, context, (operations) => operations.readOverview());
    if (!isConfigured)
      context.warn(
        `${config} cannot be used, so services that were never rolled out are not shown: ${context.command} config check`,
      );
    if (json) return context.print(JSON.stringify(overview, null, 2));
    for (const line of describeOverview(overview, context)) context.print(line);
    for (const line of problemsOf(overview)) context.warn(line);
  });
}

function describeOverview({ globalHold, services, asking, underWay, isCut }: Overview, context: CliContext): string[] {
  const asks = new Set(asking.map(({ runId }) => runId));
  const others = underWay.filter(({ runId }) => !asks.has(runId));
  const parts = [
    globalHold === undefined ? [] : [heldLine(globalHold, context)],
    asking.length === 0
      ? []
      : [`waits for a person (${asking.length}):`, ...asking.flatMap((row) => describeAsking(row, context))],
    others.length === 0
      ? []
      : [
          'under way:',
          ...table(
            others.map(({ rollout, status, changedAt, standing = '' }) => [
              `  ${shortRollout(rollout)}`,
              coloured(status, context),
              ago(changedAt),
              plain(standing),
            ]),
            context.width,
          ),
          ...(isCut ? [`  and more: ${context.command} list`] : []),
        ],
    describeServices(services, context),
    asking.length === 0 && others.length === 0 ? ['Nothing is under way, and nothing waits for a person.'] : [],
  ];
  return parts.filter((part) => part.length > 0).flatMap((part, index) => (index === 0 ? part : ['', ...part]));
}

function describeAsking({ rollout, status, questions }: AskingRollout, context: CliContext): string[] {
  return questions.flatMap(({ step, stage, since, reason = '', advice, proposal }) => {
    const where = stage === undefined ? step : `${step} (${stage})`;
    const why = [plain(reason), ...(proposal === undefined ? [] : [plain(proposal)])].filter((text) => text !== '').join(', ');
    return [
      ...table([[`  ${shortRollout(rollout)}`, coloured(status, context), ago(since), `${where}: ${why}`]], context.width),
      `      ${plain(advice).replace(/\blandfall /g, `${context.command} `)}`,
    ];
  });
}

function describeServices(services: readonly ServiceOverview[], { command, ...context }: CliContext): string[] {
  if (services.length === 0) return [`no services yet: push an image that one follows, or ${command} trigger IMAGE`];
  const rows = services.flatMap((service) =>
    service.stages.length === 0
      ? [[service.service, '', plain(service.problem ?? 'no stage has been reached yet')]]
      : service.stages.map((stage) => stageCells(service, stage, context)),
  );
  return table([['SERVICE', 'STAGE', 'RUNS', 'SINCE', 'HEALTH', 'NOTE'], ...rows], context.width);
}

function stageCells(
  { service, hold: ofService }: ServiceOverview,
  { stage, running, hold, pin, stopped, turn, waiting }: StageOverview,
  context: Pick<CliContext, 'width' | 'env'>,
): string[] {
  const runs =
    running === undefined
      ? ['nothing known', '', '']
      : [imageText(running), ago(running.since), coloured(running.health, context)];
  const notes = [
    stopped ?? (hold === undefined && ofService === undefined ? undefined : 'held'),
    pin === undefined ? undefined : `pinned by ${pin.by}`,
    turn === undefined ? undefined : `${shortRollout(turn.rollout)} ${turn.changing ? 'changes it' : 'has its turn'}`,
    waiting === 0 ? undefined : `${waiting} waiting`,
  ];
  return [service, stage, ...runs, plain(notes.filter((note) => note !== undefined).join('; '))];
}

function imageText({ tag, digest }: { readonly tag: string; readonly digest: string }): string {
  return `${tag} ${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
}

/** Why something is not known, each once. */
function problemsOf({ services }: Overview): string[] {
  return [...new Set(services.flatMap(({ problem }) => (problem === undefined ? [] : [plain(problem)])))];
}
