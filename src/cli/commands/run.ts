import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Command } from 'commander';
import type { Configuration } from '../../config/configuration.ts';
import { nameOf, type RunState } from '../../domain/rollout-state.ts';
import type { planTriggers, Started } from '../../operations/index.ts';
import { parseDuration } from '../../settings/amounts.ts';
import { actorOf } from '../actor.ts';
import { type CliContext, configOption } from '../context.ts';
import { CommandFailure, exitCodes, explain, UsageFailure } from '../errors.ts';
import { reported, runHere } from '../local-run.ts';
import { plain } from '../terminal.ts';
import { createTimeline } from '../timeline.ts';
import { detailLines } from './show.ts';

interface RunOptions {
  readonly config: string;
  readonly service?: string;
  readonly data?: string;
  readonly timeout: string;
  readonly ifFollowed?: boolean;
}

type Triggers = ReturnType<typeof planTriggers>;

/** How long the registry may take to show a tag that was just pushed. */
const lookUpForMs = 30_000;
const lookAgainMs = 2_000;
const noticesWithinMs = 30_000;

export function addRun(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  program
    .command('run')
    .description('carry one rollout to its end in this process, without a server; exit code 1 where it ends badly')
    .argument('<image>', 'IMAGE[:TAG][@DIGEST], or the name of a service for its image; tag latest where none is given')
    .option('-s, --service <name>', 'only for this service')
    .option('--data <folder>', 'data folder, which is kept; default: a temporary one, which is not')
    .option('--timeout <duration>', 'give up after so long', '30m')
    .option('--if-followed', 'end well where no service follows the image or its tag')
    .option(...configOption(context))
    .action(async (image: string, options: RunOptions) => {
      const states = await reported('landfall run', context, () => rollOut(image, options, context), whatCameOfIt);
      if (!states.every(endedWell)) setExitCode(exitCodes.refused);
    });
}

/** @returns how the rollouts of the image have ended, or where they are blocked */
async function rollOut(image: string, options: RunOptions, context: CliContext): Promise<RunState[]> {
  const timeoutMs = parseDuration(options.timeout);
  if (timeoutMs === undefined) throw new UsageFailure(`--timeout: expected a duration such as 30m, found '${options.timeout}'`);
  return await runHere<Triggers, RunState>(
    {
      ...{ config: options.config, data: options.data },
      plan: (configuration) => planFor(image, options, configuration, context),
      hosts: (triggers) => triggers.flatMap(({ plan }) => plan.stages.flatMap(({ deploy }) => deploy?.host ?? [])),
      elsewhere: (host) =>
        `expected no deploy on another host, found 'on: ${host}': run it there with LANDFALL_HOSTS=${host}, or leave that to a Landfall that is a server`,
      work: (client, triggers, signal) => carry(client, triggers, { timeoutMs, signal }, context),
    },
    context,
  );
}

/** @returns nothing where no service follows the image, and that is meant to be well */
async function planFor(
  image: string,
  { service, ifFollowed = false }: RunOptions,
  configuration: Configuration,
  context: CliContext,
): Promise<Triggers | undefined> {
  const { NotFound, parseInput, planTriggers, triggerInput } = await import('../../operations/index.ts');
  try {
    return planTriggers(configuration, parseInput(triggerInput, { image, service }));
  } catch (error) {
    if (!ifFollowed || !(error instanceof NotFound)) throw error;
    context.print(`nothing to do: ${explain(error).message}`);
    return undefined;
  }
}

/** Starts the rollouts, shows what happens to them, and sees that people are told of it. */
async function carry(
  client: Client,
  triggers: Triggers,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  context: CliContext,
): Promise<RunState[]> {
  const { awaitNotices, followRollouts } = await import('../../operations/index.ts');
  const rollouts = await start(client, triggers, signal, context);
  const seen = createTimeline(context.print);
  const states = await followRollouts(client, rollouts, { deadlineMs: timeoutMs, signal, seen });
  for (const line of states.flatMap(whatBlocks)) context.print(line);
  await Promise.all(rollouts.map((rollout) => awaitNotices(client, rollout, noticesWithinMs)));
  return states;
}

/** @returns the ids of the rollouts @throws CommandFailure where the registry does not say what the tag is */
async function start(client: Client, triggers: Triggers, signal: AbortSignal, context: CliContext) {
  const { trigger, Unreachable } = await import('../../operations/index.ts');
  const actor = await actorOf({}, context);
  for (const giveUpAt = Date.now() + lookUpForMs; ; ) {
    const started = await trigger(client, triggers, actor).catch((error: unknown) => {
      // Temporal and the worker are ours, and have only just begun: on a busy machine they take their time.
      if (!(error instanceof Unreachable) || Date.now() > giveUpAt) throw error;
      return undefined;
    });
    const missing = started?.filter(({ rollouts }) => rollouts.length === 0) ?? [];
    if (started !== undefined && missing.length === 0)
      return started.flatMap(({ rollouts }) => rollouts.map(({ rollout }) => rollout));
    if (started !== undefined && Date.now() > giveUpAt) throw new CommandFailure(missing.map(nothingStarted).join('\n'));
    await pause(lookAgainMs, undefined, { signal });
  }
}

function nothingStarted({ service, note = 'the registry does not answer' }: Started): string {
  return `${service}: nothing to roll out: ${plain(note)}`;
}

const endedWell = ({ status }: RunState): boolean => ['delivered', 'proposed', 'unchanged'].includes(status);

const advice = 'push an image that passes, or change what landfall.yaml asks of it, and run it again: nobody is here to decide';

/** What the blocked steps of a rollout have found, and what to do. */
export function whatBlocks({ steps }: RunState): string[] {
  const blocked = steps.filter(({ status }) => status === 'blocked');
  if (blocked.length === 0) return [];
  const found = blocked.flatMap((step) => [
    `${nameOf(step)} is blocked:`,
    ...detailLines(step.details).map((line) => `  ${line}`),
  ]);
  return ['', ...found, '', `What to do: ${advice}.`];
}

function whatCameOfIt(state: RunState): { readonly isWell: boolean; readonly said: string } {
  const { status, reason = '', proposals } = state;
  const links = Object.values(proposals).map(({ url }) => url);
  const said = [reason, ...links, ...(status === 'blocked' ? [advice] : [])].filter((text) => text !== '').map(plain);
  return { isWell: endedWell(state), said: said.join('\n') };
}
