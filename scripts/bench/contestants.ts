import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { findTool } from '../../src/adapters/tools.mjs';
import { trivyArguments, trivyCommand } from '../../src/adapters/trivy-process.ts';
import type { Digest } from '../../src/domain/image-reference.ts';
import { pushImage } from '../../test/support/images.ts';
import type { GitRemote } from '../../test/support/git-remote.ts';
import type { World } from '../../test/support/world.ts';
import { type RolloutTimes, timesOf } from './history.ts';
import { freshImage, type ServiceFiles, service } from './image.ts';

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
export async function measureLandfall({ push, until, rollout, remote }: World, files: ServiceFiles): Promise<LandfallRound> {
  const digest = await push('latest', freshImage(files));
  const pushedAt = Date.now();
  await until('latest', digest, 'proposed', rolloutDeadlineMs);
  const handle = rollout('latest', digest);
  await handle.result();
  const proposedAfterMs = (await takeBranch(remote, branches.landfall)) - pushedAt;
  const { historyLength, historySize } = await handle.describe();
  const times = timesOf(await handle.fetchHistory());
  return { proposedAfterMs, times, events: historyLength, bytes: historySize ?? 0 };
}

/** Pushes an image to a tag that nobody follows, and runs the script at once. */
export async function measureScript(world: World, files: ServiceFiles, signal: AbortSignal): Promise<ScriptRound> {
  const tag = 'by-hand';
  const digest = await pushImage(world.registry, 'team/web', tag, freshImage(files));
  const pushedAt = Date.now();
  const marks = await runScript(scriptSettings(world, tag, digest), signal);
  const proposedAfterMs = (await takeBranch(world.remote, branches.script)) - pushedAt;
  const steps = marks.slice(0, -1).map(({ name, atMs }, index) => ({ name, ms: (marks[index + 1]?.atMs ?? atMs) - atMs }));
  return { proposedAfterMs, steps };
}

function scriptSettings({ host, folder, remote }: World, tag: string, digest: Digest): Record<string, string> {
  const cache = join(folder, 'trivy');
  const command = trivyCommand({ configured: undefined, found: findTool('trivy', process.env) });
  return {
    REPOSITORY: `${host}/team/web`,
    TAG: tag,
    DIGEST: digest,
    PORT: String(service.port),
    HEALTH_PATH: service.path,
    TRIVY: trivyArguments(command, [cache], undefined).join(' '),
    TRIVY_CACHE: cache,
    DEPLOYMENT: remote.folder,
    BRANCH: branches.script,
  };
}

/** @returns when each step began, by what the script says */
async function runScript(settings: Record<string, string>, signal: AbortSignal): Promise<{ name: string; atMs: number }[]> {
  const marks: { name: string; atMs: number }[] = [];
  const script = spawn('bash', [straightLine], { env: { ...process.env, ...settings }, stdio: ['ignore', 'pipe', 'pipe'], signal });
  createInterface({ input: script.stdout }).on('line', (name) => marks.push({ name, atMs: Date.now() }));
  let said = '';
  script.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = await once(script, 'close');
  if (code !== 0) throw new Error(`the straight-line script ended with ${code} after '${marks.at(-1)?.name ?? 'nothing'}':\n${said}`);
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
