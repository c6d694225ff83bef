import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import type { Environment } from '../../domain/environment.ts';
import { createMask, lastLines } from '../../platform/docker/log-lines.ts';
import { readTextIfThere, writeDurably } from '../../platform/files/durable-file.ts';
import { identify } from '../../platform/processes/identity.ts';
import { killGroup, stopAfter } from '../../platform/processes/program.ts';

export interface DetachedProgram {
  readonly command: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  readonly env: Environment;
  readonly timeoutMs: number;
}

export interface DetachedProgramEnd {
  /** Absent if a signal ended it. */
  readonly exitCode?: number;
  readonly signal?: NodeJS.Signals;
  readonly isLate: boolean;
  /** Last 50 lines of what it printed, at most 4 KiB. */
  readonly output: string;
}

/** Time to end after SIGTERM, before SIGKILL. */
const endWithinMs = 10_000;
const lookEveryMs = 100;
/** More than 50 long lines. */
const keptOutput = 64 * 1024;
const noMask = createMask([]);
/** A shell that waits for one line, then execs the program; if we are killed before, it ends without running it. The arguments are never
 * parsed by the shell. */
const whenTold = ['-c', 'read -r go && exec "$@" </dev/null', 'sh'];

const leftBehind = z.object({ pid: z.number().int(), started: z.string(), until: z.number() });

/**
 * Runs a program to its end, whatever becomes of this process: it has a process group of its own, and prints into a file, because the
 * end of a pipe would end it half-way. It begins once `folder` records that it runs, so that a process that starts after we were killed
 * finds it: see `awaitLeftBehind`. A program that does not exist ends as in a shell, with exit code 127.
 */
export async function runToEnd(folder: string, { command, cwd, env, timeoutMs }: DetachedProgram): Promise<DetachedProgramEnd> {
  await mkdir(folder, { recursive: true });
  const output = await open(join(folder, 'output.log'), 'w+', 0o600);
  try {
    const child = spawn('sh', [...whenTold, ...command], {
      cwd,
      env: { ...env, PWD: cwd },
      detached: true,
      stdio: ['pipe', output.fd, output.fd],
    });
    const ended = once(child, 'exit');
    // Awaited below; this avoids an unhandled rejection if something fails in between.
    ended.catch(() => undefined);
    child.stdin?.on('error', () => undefined);
    const timer = stopAfter(timeoutMs, endWithinMs, (signal) => killGroup(child.pid, signal));
    try {
      const { pid } = child;
      const until = Date.now() + timeoutMs + endWithinMs;
      const started = pid === undefined ? undefined : (await identify(pid))?.started;
      // One that has ended already need not be recorded.
      if (started !== undefined) await writeDurably(pathIn(folder), JSON.stringify({ pid, started, until }));
      child.stdin?.end('go\n');
      const [exitCode, signal] = await ended;
      await rm(pathIn(folder), { force: true });
      const how = exitCode === null ? { signal } : { exitCode };
      return { ...how, isLate: timer.fired(), output: lastLines(await readTail(output), noMask) };
    } finally {
      timer.clear();
      // If it could not be recorded, it never gets its line, and ends.
      child.stdin?.destroy();
    }
  } finally {
    await output.close();
  }
}

/** Waits for a program that a killed process of ours left running, so that nothing runs twice at once; kills it if it is late. */
export async function awaitLeftBehind(folder: string, signal: AbortSignal): Promise<void> {
  const text = await readTextIfThere(pathIn(folder));
  if (text === undefined) return;
  const { pid, started, until } = leftBehind.parse(JSON.parse(text));
  for (;;) {
    signal.throwIfAborted();
    if ((await identify(pid))?.started !== started) break;
    if (Date.now() > until) killGroup(pid, 'SIGKILL');
    await pause(lookEveryMs);
  }
  await rm(pathIn(folder), { force: true });
}

function pathIn(folder: string): string {
  return join(folder, 'running.json');
}

async function readTail(output: Awaited<ReturnType<typeof open>>): Promise<Buffer> {
  const { size } = await output.stat();
  const length = Math.min(size, keptOutput);
  const { buffer, bytesRead } = await output.read(Buffer.alloc(length), 0, length, size - length);
  return buffer.subarray(0, bytesRead);
}
