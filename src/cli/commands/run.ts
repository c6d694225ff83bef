import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import type { Configuration } from '../../config/configuration.ts';
import { servedHere } from '../../config/deploy.ts';
import type { Environment } from '../../domain/environment.ts';
import { withCauses } from '../../domain/errors.ts';
import { nameOf, type RolloutState } from '../../domain/rollout-state.ts';
import type { planTriggers, Started } from '../../operations/index.ts';
import { parseDuration } from '../../settings/scalars.ts';
import { actorOf } from '../actor.ts';
import { type CliContext, configOption, type LocalWork } from '../context.ts';
import { CommandFailure, exitCodes, explain, UsageFailure } from '../errors.ts';
import { annotation, withoutCommands, writeSummary } from '../github-actions.ts';
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
      const isInActions = context.env.GITHUB_ACTIONS === 'true';
      const work = () => rollOut(image, options, context);
      try {
        const states = isInActions ? await withoutCommands(context.print, work) : await work();
        if (isInActions) await reportToActions(states, context);
        if (!states.every(endedWell)) setExitCode(exitCodes.refused);
      } catch (error) {
        if (isInActions) context.print(annotation('error', 'landfall run', explain(error).message));
        throw error;
      }
    });
}

/** @returns how the rollouts of the image have ended, or where they are blocked */
async function rollOut(image: string, options: RunOptions, context: CliContext): Promise<RolloutState[]> {
  const timeoutMs = parseDuration(options.timeout);
  if (timeoutMs === undefined) throw new UsageFailure(`--timeout: expected a duration such as 30m, found '${options.timeout}'`);
  const { readConfiguration } = await import('../../operations/index.ts');
  return await withDataFolder(options.data, async (localData) => {
    const env = withoutCluster(context.env);
    const secretsFor = ['worker', 'deploy'] as const;
    const configuration = await readConfiguration(options.config, { ...context, env }, { secretsFor, localData });
    const triggers = await planFor(image, options, configuration, context);
    if (triggers.length === 0) return [];
    refuseOtherHosts(triggers, env);
    const work = await context.startLocalWork(configuration, env).catch((error: unknown) => {
      throw new CommandFailure(withCauses(error), { cause: error });
    });
    const given = new AbortController();
    try {
      return await Promise.race([carry(work, triggers, { timeoutMs, signal: given.signal }, context), interrupted(work)]);
    } finally {
      given.abort();
      await work.stop();
    }
  });
}

/** @returns none where no service follows the image, and that is meant to be well */
async function planFor(
  image: string,
  { service, ifFollowed = false }: RunOptions,
  configuration: Configuration,
  context: CliContext,
): Promise<Triggers> {
  const { NotFound, parseInput, planTriggers, triggerInput } = await import('../../operations/index.ts');
  try {
    return planTriggers(configuration, parseInput(triggerInput, { image, service }));
  } catch (error) {
    if (!ifFollowed || !(error instanceof NotFound)) throw error;
    context.print(`nothing to do: ${explain(error).message}`);
    return [];
  }
}

/** Starts the rollouts, shows what happens to them, and sees that people are told of it. */
async function carry(
  { client }: LocalWork,
  triggers: Triggers,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  context: CliContext,
): Promise<RolloutState[]> {
  const { awaitNotices, followRollouts } = await import('../../operations/index.ts');
  const rollouts = await start(client, triggers, signal, context);
  const seen = createTimeline(context.print);
  const states = await followRollouts(client, rollouts, { deadlineMs: timeoutMs, signal, seen });
  for (const line of states.flatMap(whatBlocks)) context.print(line);
  await Promise.all(rollouts.map((rollout) => awaitNotices(client, rollout, noticesWithinMs)));
  return states;
}

/** @returns the ids of the rollouts @throws CommandFailure where the registry does not say what the tag is */
async function start(client: LocalWork['client'], triggers: Triggers, signal: AbortSignal, context: CliContext) {
  const { trigger } = await import('../../operations/index.ts');
  const actor = await actorOf({}, context);
  for (const giveUpAt = Date.now() + lookUpForMs; ; ) {
    const started = await trigger(client, triggers, actor);
    const missing = started.filter(({ rollouts }) => rollouts.length === 0);
    if (missing.length === 0) return started.flatMap(({ rollouts }) => rollouts.map(({ rollout }) => rollout));
    if (Date.now() > giveUpAt) throw new CommandFailure(missing.map(nothingStarted).join('\n'));
    await pause(lookAgainMs, undefined, { signal });
  }
}

function nothingStarted({ service, note = 'the registry does not answer' }: Started): string {
  return `${service}: nothing to roll out: ${plain(note)}`;
}

const endedWell = ({ status }: RolloutState): boolean => ['delivered', 'proposed', 'unchanged'].includes(status);

const advice = 'push an image that passes, or change what landfall.yaml asks of it, and run it again: nobody is here to decide';

/** What the blocked steps of a rollout have found, and what to do. */
function whatBlocks({ steps }: RolloutState): string[] {
  const blocked = steps.filter(({ status }) => status === 'blocked');
  if (blocked.length === 0) return [];
  const found = blocked.flatMap((step) => [
    `${nameOf(step)} is blocked:`,
    ...detailLines(step.details).map((line) => `  ${line}`),
  ]);
  return ['', ...found, '', `What to do: ${advice}.`];
}

async function reportToActions(states: readonly RolloutState[], { env, print }: CliContext): Promise<void> {
  for (const state of states) {
    const { service, status, reason = '', proposals } = state;
    const links = Object.values(proposals).map(({ url }) => url);
    const said = [reason, ...links, ...(status === 'blocked' ? [advice] : [])].filter((text) => text !== '').map(plain);
    print(annotation(endedWell(state) ? 'notice' : 'error', `${service} ${status}`, said.join('\n') || status));
  }
  await writeSummary(states, env);
}

async function interrupted({ over }: LocalWork): Promise<never> {
  throw new CommandFailure(`stopped by ${await over} before it had ended: run it again, it takes up what it has proposed`);
}

/** Whose Temporal it is, is settled: its own. */
function withoutCluster({ TEMPORAL_ADDRESS: _address, TEMPORAL_NAMESPACE: _namespace, ...env }: Environment): Environment {
  return env;
}

/** What is deployed on another host would wait for a worker there. */
function refuseOtherHosts(triggers: Triggers, env: Environment): void {
  const served = servedHere(env);
  const hosts = triggers.flatMap(({ plan }) => plan.stages.flatMap(({ deploy }) => deploy?.host ?? []));
  const other = hosts.find((host) => !served.includes(host));
  if (other === undefined) return;
  throw new CommandFailure(
    `expected no deploy on another host, found 'on: ${other}': run it there with LANDFALL_HOSTS=${other}, or leave that to a Landfall that is a server`,
  );
}

async function withDataFolder<Result>(given: string | undefined, work: (folder: string) => Promise<Result>): Promise<Result> {
  if (given !== undefined) return await work(resolve(given));
  const folder = await mkdtemp(join(tmpdir(), 'landfall-run-'));
  try {
    return await work(folder);
  } finally {
    // What checks have started ends with this process, and may still have files there.
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
