import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { findProcesses } from '../../src/platform/processes/identity.ts';
import type { Environment } from './run.ts';

/** Where the service of a demo is, and what it asks. */
export interface DemoPlaces {
  readonly registry: string;
  /** Ports of this machine. */
  readonly webhooks: number;
  readonly operators: number;
  readonly temporal: number;
}

/**
 * What `landfall.yaml` of each demo begins with.
 * @param address where the webhooks are listened for
 * @param receiver who tells of pushes
 */
export function configurationHead(
  { registry, webhooks, operators, temporal }: DemoPlaces,
  address: string,
  receiver = 'distribution: { token: env:DEMO_REGISTRY_TOKEN }',
): string {
  return `listen: { webhooks: "${address}:${webhooks}", operators: "127.0.0.1:${operators}" }
receivers:
  ${receiver}
registries:
  "${registry}": { plainHttp: true }
temporal: { port: ${temporal} }
trivy: { cacheDir: trivy, offline: true }
search: off
log: { level: warn }
`;
}

const startDeadlineMs = 90_000;
const stopDeadlineMs = 90_000;

/** `npm start` as it is, in the folder of the demo. */
export async function startService(root: string, folder: string, env: Environment): Promise<ChildProcess> {
  await mkdir(join(folder, 'data'), { recursive: true });
  const log = await open(join(folder, 'landfall.log'), 'w');
  // A cluster or a role that the caller has set is not the demo's.
  const {
    TEMPORAL_ADDRESS: _address,
    TEMPORAL_NAMESPACE: _namespace,
    LANDFALL_ROLES: _roles,
    LANDFALL_CONFIG: _file,
    ...own
  } = env;
  const child = spawn(process.execPath, [join(root, 'scripts/start.mjs')], {
    cwd: folder,
    env: own,
    // A group of its own: Ctrl-C is for the demo, which then stops everything in order.
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  });
  await log.close();
  const giveUpAt = Date.now() + startDeadlineMs;
  for (;;) {
    const said = await readFile(join(folder, 'landfall.log'), 'utf8');
    if (said.includes('Landfall serves')) return child;
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`Landfall did not start:\n${said}`);
    if (Date.now() > giveUpAt) {
      child.kill('SIGKILL');
      throw new Error(`Landfall did not start within ${startDeadlineMs / 1000} s:\n${said}`);
    }
    await wait(100);
  }
}

/** It drains and exits 0; anything else is shown, because it would be a fault. */
export async function stopService(child: ChildProcess, folder: string): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), stopDeadlineMs);
    await exited;
    clearTimeout(kill);
  }
  if (child.exitCode === 0) return;
  // Landfall's Temporal server outlives a killed Landfall; the next start on this folder would take it over, but there is none.
  for (const { pid } of await findProcesses(`--db-filename ${join(folder, 'data/temporal.db')} `)) process.kill(pid, 'SIGKILL');
  const log = await readFile(join(folder, 'landfall.log'), 'utf8');
  console.error(
    `Landfall ended with ${child.signalCode ?? child.exitCode}, expected 0. The end of its log:\n${log.slice(-3000)}`,
  );
}
