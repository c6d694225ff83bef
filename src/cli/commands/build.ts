import type { Command } from 'commander';
import type { FoundBuilds } from '../../contracts/activities/builds.ts';
import type { BuildSearch, BuildState } from '../../contracts/messages.ts';
import { isGoodBuildEnd, shortRollout } from '../../domain/rollout-state.ts';
import type { RolloutReader } from '../../operations/index.ts';
import { parseDuration } from '../../settings/amounts.ts';
import { actorOf } from '../actor.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { exitCodes, UsageFailure } from '../errors.ts';
import { reported, runHere } from '../local-run.ts';
import { withOperations } from '../reach.ts';
import { plain } from '../terminal.ts';
import { createTimeline } from '../timeline.ts';
import { whatBlocks } from './run.ts';

interface BuildCommandOptions extends CommandOptions {
  readonly ref?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly tag?: string;
  readonly pushLatest?: boolean;
  readonly release?: string;
  readonly wait?: boolean;
  readonly local?: boolean;
  readonly source?: string;
  readonly data?: string;
  readonly timeout: string;
}

type Search = Omit<BuildSearch, 'cause'>;

export function addBuild(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  const command = program
    .command('build')
    .description('build an image of a commit, check it, push it, and hand it over to the services that follow it')
    .argument('<name>', 'a build of landfall.yaml')
    .option('--ref <ref>', 'a commit, a branch or a tag; default: the branch of the build')
    .option('--dry-run', 'build and check, push nothing')
    .option('--force', 'build and push whatever the registry has')
    .option('--tag <tag>', 'in place of the tag that the build says')
    .option('--push-latest', 'move latest to it, too')
    .option('--release <type>', 'pre-release (VERSION-dev.COMMIT) or main-release (VERSION)')
    .option('--wait', 'follow it to its end; exit code 1 where it ends badly')
    .option('--local', 'do it in this process, without a server: it is built and pushed, and no rollout begins')
    .option('--source <folder>', 'with --local: a checkout in place of the repository of the build, at its HEAD')
    .option('--data <folder>', 'with --local: data folder, which is kept; default: a temporary one, which is not')
    .option('--timeout <duration>', 'with --wait and --local: give up after so long', '2h');
  addCommandOptions(command, context).action(async (name: string, options: BuildCommandOptions) => {
    const timeoutMs = parseDuration(options.timeout);
    if (timeoutMs === undefined) throw new UsageFailure(`--timeout: expected a duration such as 2h, found '${options.timeout}'`);
    if (!options.local && (options.source ?? options.data) !== undefined)
      throw new UsageFailure('expected --local beside --source and --data: a server has its own sources and data');
    const states = options.local
      ? await reported('landfall build', context, () => buildHere(name, options, timeoutMs, context), whatCameOfIt)
      : await buildThere(name, options, timeoutMs, context);
    if (!states.every(({ status }) => isGoodBuildEnd(status))) setExitCode(exitCodes.refused);
  });
}

function whatCameOfIt(state: BuildState): { readonly isWell: boolean; readonly said: string } {
  return { isWell: isGoodBuildEnd(state.status), said: plain(state.reason ?? '') };
}

async function requestOf(name: string, options: BuildCommandOptions, more: { readonly pushOnly?: true } = {}) {
  const inputs = await import('../../operations/inputs.ts');
  const {
    config: _config,
    url: _url,
    json: _json,
    wait: _wait,
    local: _local,
    data: _data,
    timeout: _timeout,
    ...asked
  } = options;
  return inputs.parseInput(inputs.buildInput, { name, ...asked, ...more });
}

/** By the Landfall that runs. @returns what became of it; nothing where nobody waits for it */
async function buildThere(
  name: string,
  options: BuildCommandOptions,
  deadlineMs: number,
  context: CliContext,
): Promise<BuildState[]> {
  const { json = false, wait = false } = options;
  const asked = await requestOf(name, options);
  return await withOperations(options, context, async (operations) => {
    const start = () => operations.startBuild(asked);
    if (wait) return await followBuild({ start, reader: operations }, { deadlineMs, json }, context);
    const found = await start();
    if (json) context.print(JSON.stringify(found, null, 2));
    else for (const line of startedLines(found)) context.print(line);
    return [];
  });
}

function startedLines({
  commit,
  builds,
}: {
  readonly commit: string;
  readonly builds: readonly { build: string; wasRunning: boolean }[];
}) {
  return builds.map(({ build, wasRunning }) => {
    const what = wasRunning ? 'is running already' : 'started';
    return `${build} ${what} (${commit}): landfall show ${shortRollout(build)}`;
  });
}

interface BuildWay {
  readonly start: () => Promise<FoundBuilds>;
  readonly reader: RolloutReader;
}

async function followBuild(
  { start, reader }: BuildWay,
  { deadlineMs, json, signal }: { readonly deadlineMs: number; readonly json: boolean; readonly signal?: AbortSignal },
  context: CliContext,
): Promise<BuildState[]> {
  const { follow } = await import('../../operations/following.ts');
  const found = await start();
  if (!json) for (const line of startedLines(found)) context.print(line);
  const ids = found.builds.map(({ build }) => build);
  const seen = json ? () => undefined : createTimeline(context.print);
  const states = await follow<BuildState>(reader, ids, { deadlineMs, seen, ...(signal && { signal }) });
  if (json) context.print(JSON.stringify(states, null, 2));
  else for (const line of states.flatMap(whatBlocks)) context.print(line);
  return states;
}

/** In this process, with a Temporal of its own. */
async function buildHere(
  name: string,
  options: BuildCommandOptions,
  deadlineMs: number,
  context: CliContext,
): Promise<BuildState[]> {
  const operations = await import('../../operations/index.ts');
  const { config, data, json = false } = options;
  return await runHere<Search, BuildState>(
    {
      ...{ config, data },
      plan: async (configuration) => operations.planBuild(configuration, await requestOf(name, options, { pushOnly: true })),
      hosts: ({ plans }) => plans.flatMap(({ parts }) => parts.flatMap(({ host }) => host ?? [])),
      elsewhere: (host) =>
        `expected no platform that is built on another host, found 'on: ${host}': leave that to a Landfall that is a server, or leave on out`,
      async work(client, search, signal) {
        const actor = await actorOf({}, context);
        const start = () => operations.startBuild(client, search, actor);
        const reader = { readRollout: (build: string) => operations.readRollout(client, build), readEveryMs: operations.pollMs };
        return await followBuild({ start, reader }, { deadlineMs, json, signal }, context);
      },
    },
    context,
  );
}
