import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type WorkflowHandle, WorkflowNotFoundError } from '@temporalio/client';
import { trivyArguments, trivyCommand } from '../../src/checks/scan/trivy-process.ts';
import { stateQuery } from '../../src/contracts/messages.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import type { RolloutState } from '../../src/domain/rollout-state.ts';
import { findTool } from '../../src/platform/tools.mjs';
import type { GitRemote } from '../../test/support/git-remote.ts';
import { type ImageOptions, pushImage } from '../../test/support/images.ts';
import { eventually } from '../../test/support/wait.ts';
import type { World } from '../../test/support/world.ts';
import { type RolloutTimes, timesOf } from './history.ts';
import { service } from './image.ts';

/** One push, and what became of it. */
export interface LandfallRound {
  /** From the registry's answer to the push to the branch in the deployment repository. */
  readonly proposedAfterMs: number;
  readonly times: RolloutTimes;
  readonly events: number;
  readonly bytes: number;
}

export interface ScriptRound {
  readonly proposedAfterMs: number;
  readonly steps: readonly { readonly name: string; readonly ms: number }[];
}

const rolloutDeadlineMs = 5 * 60_000;
const straightLine = fileURLToPath(new URL('./straight-line.sh', import.meta.url));
const branches = { landfall: 'landfall/web-production', script: 'by-hand/web' } as const;

/** Pushes an image to the tag that Landfall follows, and does nothing else. */
export async function measureLandfall({ push, rollout, remote }: World, image: ImageOptions): Promise<LandfallRound> {
  const digest = await push('latest', image);
  const pushedAt = Date.now();
  const handle = rollout('latest', digest);
  await untilProposed(handle);
  const proposedAfterMs = (await takeBranch(remote, branches.landfall)) - pushedAt;
  const { historyLength, historySize } = await handle.describe();
  const times = timesOf(await handle.fetchHistory());
  return { proposedAfterMs, times, events: historyLength, bytes: historySize ?? 0 };
}

/** Asks the worker nothing in the meantime: answering would cost it time. */
async function untilProposed(handle: WorkflowHandle): Promise<void> {
  await untilStarted(handle);
  const state = await Promise.race([
    handle.result() as Promise<RolloutState>,
    wait(rolloutDeadlineMs, undefined, { ref: false }),
  ]);
  const { status, reason } = state ?? (await handle.query(stateQuery));
  if (status !== 'proposed')
    throw new Error(`expected ${handle.workflowId} to be proposed, found it ${status}: ${reason ?? 'no reason'}`);
}

/** Its push is told of a moment later. */
export async function untilStarted(handle: WorkflowHandle, withinMs?: number): Promise<void> {
  await eventually(`${handle.workflowId} to have started`, () => isStarted(handle), withinMs);
}

async function isStarted(handle: WorkflowHandle): Promise<boolean> {
  try {
    await handle.describe();
    return true;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return false;
    throw error;
  }
}

/** Pushes an image to a tag that nobody follows, and runs the script at once. */
export async function measureScript(world: World, image: ImageOptions, signal: AbortSignal): Promise<ScriptRound> {
  const tag = 'by-hand';
  const digest = await pushImage(world.registry, 'team/web', tag, image);
  const pushedAt = Date.now();
  const marks = await runScript(scriptSettings(world, tag, digest), signal);
  const proposedAfterMs = (await takeBranch(world.remote, branches.script)) - pushedAt;
  const steps = marks.slice(0, -1).map(({ name, atMs }, index) => ({ name, ms: (marks[index + 1]?.atMs ?? atMs) - atMs }));
  return { proposedAfterMs, steps };
}

function scriptSettings({ host, folder, remote }: World, tag: string, digest: Digest): Record<string, string> {
  const command = trivyCommand({ found: findTool('trivy', process.env) });
  return {
    REPOSITORY: `${host}/team/web`,
    TAG: tag,
    DIGEST: digest,
    PORT: String(service.port),
    HEALTH_PATH: service.path,
    TRIVY: trivyArguments(command, [folder], undefined, 4 * 1024 ** 3).join(' '),
    TRIVY_CACHE: join(folder, 'trivy'),
    WORK: folder,
    // Neither the settings nor the hooks of whoever runs this.
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    DEPLOYMENT: remote.folder,
    BRANCH: branches.script,
  };
}

/** @returns when each step began, by what the script says */
async function runScript(settings: Record<string, string>, signal: AbortSignal): Promise<{ name: string; atMs: number }[]> {
  const marks: { name: string; atMs: number }[] = [];
  const script = spawn('bash', [straightLine], {
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  createInterface({ input: script.stdout }).on('line', (name) => marks.push({ name, atMs: Date.now() }));
  let said = '';
  script.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = await once(script, 'close');
  if (code !== 0)
    throw new Error(`the straight-line script ended with ${code} after '${marks.at(-1)?.name ?? 'nothing'}':\n${said}`);
  return marks;
}

/**
 * Takes a branch away again, so that the next round starts like this one.
 * @returns when the repository got it (Unix time, ms), by the time of the file that git keeps it in
 */
async function takeBranch(remote: GitRemote, branch: string): Promise<number> {
  const { mtimeMs } = await stat(join(remote.folder, 'refs/heads', branch));
  await remote.git('update-ref', '-d', `refs/heads/${branch}`);
  return mtimeMs;
}
