import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Client } from '@temporalio/client';
import type { Configuration } from '../config/configuration.ts';
import { servedHere } from '../config/hosts.ts';
import { withCauses } from '../domain/errors.ts';
import type { RunState } from '../domain/rollout-state.ts';
import { Unreachable } from '../operations/errors.ts';
import type { CliContext, LocalWork } from './context.ts';
import { CommandFailure, explain } from './errors.ts';
import { annotation, withoutCommands, writeSummary } from './github-actions.ts';

/** What commands have in common that do the work themselves, without a server. */

/** What one of them does, from the plan to what became of it. */
export interface LocalRun<Planned, State> {
  readonly config: string;
  /** Data folder, which is kept; absent: a temporary one, which is not. */
  readonly data: string | undefined;
  /** @returns undefined where there is nothing to do */
  readonly plan: (configuration: Configuration) => Promise<Planned | undefined>;
  /** The hosts that the plan needs, and what to do where one is not served here. */
  readonly hosts: (planned: Planned) => readonly string[];
  readonly elsewhere: (host: string) => string;
  /** @param signal aborts what is under way once nobody waits for it any more */
  readonly work: (client: Client, planned: Planned, signal: AbortSignal) => Promise<State[]>;
}

/**
 * Does the work in this process, with a Temporal that lives as long.
 * @returns none where there is nothing to do
 * @throws CommandFailure where it cannot start, or somebody stops it
 */
export async function runHere<Planned, State>(run: LocalRun<Planned, State>, context: CliContext): Promise<State[]> {
  const { readConfiguration } = await import('../operations/index.ts');
  // Whose Temporal it is, is settled: its own.
  const { TEMPORAL_ADDRESS: _address, TEMPORAL_NAMESPACE: _namespace, ...env } = context.env;
  return await withDataFolder(run.data, async (localData) => {
    const secretsFor = ['worker', 'deploy'] as const;
    const configuration = await readConfiguration(run.config, { ...context, env }, { secretsFor, localData });
    const planned = await run.plan(configuration);
    if (planned === undefined) return [];
    const served = servedHere(env);
    // It would wait for a worker there.
    const other = run.hosts(planned).find((host) => !served.includes(host));
    if (other !== undefined) throw new CommandFailure(run.elsewhere(other));
    const local = await context.startLocalWork(configuration, env).catch((error: unknown) => {
      throw new CommandFailure(withCauses(error), { cause: error });
    });
    const given = new AbortController();
    try {
      return await Promise.race([run.work(local.client, planned, given.signal), interrupted(local)]);
    } catch (error) {
      // Its Temporal ends with it: nobody is left who could be asked again.
      throw error instanceof Unreachable ? new CommandFailure(explain(error).message, { cause: error }) : error;
    } finally {
      given.abort();
      await local.stop();
    }
  });
}

/**
 * Says what came of it where a job of GitHub Actions can see it, too.
 * @param command what the job calls it
 * @param tell of each state, whether that is well, and what is to be known of it
 */
export async function reported<State extends RunState>(
  command: string,
  { env, print }: Pick<CliContext, 'env' | 'print'>,
  work: () => Promise<State[]>,
  tell: (state: State) => { readonly isWell: boolean; readonly said: string },
): Promise<State[]> {
  if (env.GITHUB_ACTIONS !== 'true') return await work();
  try {
    const states = await withoutCommands(print, work);
    for (const state of states) {
      const { isWell, said } = tell(state);
      print(annotation(isWell ? 'notice' : 'error', `${state.service} ${state.status}`, said || state.status));
    }
    await writeSummary(states, env);
    return states;
  } catch (error) {
    print(annotation('error', command, explain(error).message));
    throw error;
  }
}

async function interrupted({ over }: LocalWork): Promise<never> {
  throw new CommandFailure(`stopped by ${await over} before it had ended: run it again, it takes up what it has proposed`);
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
