import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { trivyArguments, trivyCommand } from '../../../src/checks/scan/trivy-process.ts';
import { reservePort } from '../../../src/platform/ports.ts';
import { findTool } from '../../../src/platform/tools.mjs';
import { hostPlatform } from '../../../test/support/images.ts';
import type { Environment } from '../run.ts';
import { type BuildPlaces, byHandTrivy } from './world.ts';

/** Milliseconds from the moment before `git push` to each of these. */
export interface DeliveryTimes {
  /** The image is in the registry, built, tested and scanned. */
  readonly pushed: number;
  /** Production runs it. */
  readonly deployed: number;
}

interface ByHandTimes extends DeliveryTimes {
  /** What the script did, and the milliseconds of each step. */
  readonly steps: readonly { readonly name: string; readonly ms: number }[];
}

const script = fileURLToPath(new URL('./by-hand.sh', import.meta.url));

/** Runs the straight-line script for a commit. @param pushedAt Unix time, ms */
export async function deliverByHand(
  places: BuildPlaces,
  { commit, at: pushedAt }: { readonly commit: string; readonly at: number },
  env: Environment,
): Promise<ByHandTimes> {
  const child = spawn('bash', [script], {
    env: { ...env, ...(await settingsOf(places, commit, env)) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const marks = new Map<string, number>();
  createInterface({ input: child.stdout }).on('line', (name) => marks.set(name, Date.now() - pushedAt));
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = await once(child, 'close');
  // What comes after a push begins once it is done.
  const [pushed, deployed] = [marks.get('propose'), marks.get('delivered')];
  if (code === 0 && pushed !== undefined && deployed !== undefined) return { pushed, deployed, steps: stepsOf([...marks]) };
  throw new Error(`the straight-line script ended with ${code} after '${[...marks.keys()].at(-1) ?? 'nothing'}':\n${said}`);
}

/** Each step lasts until the next one begins. */
const stepsOf = (marks: readonly (readonly [name: string, at: number])[]) =>
  marks.slice(0, -1).map(([name, at], index) => ({ name, ms: (marks[index + 1]?.[1] ?? at) - at }));

async function settingsOf(
  { source, image, deployment, production, folder }: BuildPlaces,
  commit: string,
  env: Environment,
): Promise<Environment> {
  const trivy = trivyCommand({ configured: env.TRIVY, found: findTool('trivy', env) });
  return {
    SOURCE: source.url,
    COMMIT: commit,
    IMAGE: image,
    PLATFORM: hostPlatform(),
    BUILDX: findTool('docker-buildx', env),
    COMPOSE: findTool('docker-compose', env),
    TRIVY: trivyArguments(trivy, [folder], undefined, 4 * 1024 ** 3).join(' '),
    TRIVY_CACHE: join(folder, byHandTrivy),
    DEPLOYMENT: deployment.url,
    PROJECT: `${production.project}-by-hand`,
    WEB_PORT: String(await reservePort()),
    WORK: folder,
    // Neither the settings nor the hooks of whoever runs this.
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
  };
}
