import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { createMask, lastLines } from '../../platform/docker/log-lines.ts';
import { readTextIfThere, writeDurably } from '../../platform/files/durable-file.ts';
import { killGroup, stopAfter } from '../../platform/processes/ending.ts';
import { identify } from '../../platform/processes/identity.ts';

export interface Program {
  readonly command: readonly string[];
  /** Absolute. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly timeoutMs: number;
}

export interface Ended {
  /** Absent where a signal ended it. */
  readonly exitCode?: number;
  readonly signal?: NodeJS.Signals;
  readonly isLate: boolean;
  /** Last 50 lines of what it printed, at most 4 KiB. */
  readonly output: string;
}

/** It has this long to end by itself when it is asked to. */
const endWithinMs = 10_000;
const lookEveryMs = 100;
/** More than 50 long lines. */
const keptOutput = 64 * 1024;
const noMask = createMask([]);
/** Becomes the program once it is told to; told nothing, because we were killed, it ends. The program's words never are the shell's. */
const whenTold = ['-c', 'read -r go && exec "$@" </dev/null', 'sh'];

const leftBehind = z.object({ pid: z.number().int(), started: z.string(), until: z.number() });

/**
 * Runs a program to its end, whatever becomes of this process: it has a process group of its own, and prints into a file, because the
 * end of a pipe would end it half-way. It begins once `folder` says that it runs, where whoever comes after a killed process finds it:
 * see `awaitLeftBehind`. A program that is not there ends as in a shell, with exit code 127.
 */
export async function runToEnd(folder: string, { command, cwd, env, timeoutMs }: Program): Promise<Ended> {
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
    // Heard of below, wherever it fails in between.
    ended.catch(() => undefined);
    child.stdin?.on('error', () => undefined);
    const timer = stopAfter(timeoutMs, endWithinMs, (signal) => killGroup(child.pid, signal));
    try {
      if (child.pid !== undefined) await remember(folder, child.pid, Date.now() + timeoutMs + endWithinMs);
      child.stdin?.end('go\n');
      const [exitCode, signal] = await ended;
      await rm(pathIn(folder), { force: true });
      const how = exitCode === null ? { signal } : { exitCode };
      return { ...how, isLate: timer.fired(), output: lastLines(await readTail(output), noMask) };
    } finally {
      timer.clear();
      // One that could not be remembered is never told to begin, and ends.
      child.stdin?.destroy();
    }
  } finally {
    await output.close();
  }
}

/**
 * Waits for what a killed process of ours left running, so that nothing runs twice at once. What is late by now is ended.
 * @throws the signal's reason once it is aborted
 */
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

/** One that has ended already needs no remembering. */
async function remember(folder: string, pid: number, until: number): Promise<void> {
  const identity = await identify(pid);
  if (identity !== undefined) await writeDurably(pathIn(folder), JSON.stringify({ pid, started: identity.started, until }));
}

async function readTail(output: Awaited<ReturnType<typeof open>>): Promise<Buffer> {
  const { size } = await output.stat();
  const length = Math.min(size, keptOutput);
  const { buffer, bytesRead } = await output.read(Buffer.alloc(length), 0, length, size - length);
  return buffer.subarray(0, bytesRead);
}
