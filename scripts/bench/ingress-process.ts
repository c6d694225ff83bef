import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const checkout = fileURLToPath(new URL('../../', import.meta.url));
const startsWithinMs = 60_000;

/** Landfall in a folder with a `landfall.yaml`. What it prints goes to a file: reading it would slow the generator of the load down. */
export async function startIngressProcess(
  folder: string,
  port: number,
  env: Readonly<Record<string, string>>,
): Promise<{ stop(): Promise<void> }> {
  const printed = join(folder, 'output.log');
  const output = await open(printed, 'w');
  const child = spawn(process.execPath, [`${checkout}worker.ts`], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', output.fd, output.fd],
  });
  const exited = once(child, 'exit');
  await output.close();
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await exited;
  };
  for (const end = Date.now() + startsWithinMs; !(await isAlive(port)); await pause(50)) {
    if (child.exitCode === null && child.signalCode === null && Date.now() < end) continue;
    await stop();
    throw new Error(`expected Landfall to serve; it printed:\n${await readFile(printed, 'utf8')}`);
  }
  return { stop };
}

async function isAlive(port: number): Promise<boolean> {
  try {
    return (await fetch(`http://127.0.0.1:${port}/healthz`)).ok;
  } catch {
    return false;
  }
}
