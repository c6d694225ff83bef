import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, setPriority } from 'node:os';
import { resolve } from 'node:path';
import type { Environment } from '../../domain/environment.ts';
import { codeOf } from '../../domain/errors.ts';

export interface ProgramRun {
  /** The program and its arguments; no shell is asked. */
  readonly command: readonly string[];
  readonly directory?: string;
  /** All that it gets: see childEnvironment. */
  readonly environment: Environment;
  /** What it reads from standard input; absent: nothing. */
  readonly input?: string | Uint8Array;
  /** Absent: as long as it likes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Bytes that it may print on standard output: with more it is stopped. Absent: of what is longer than 8 MiB the end is kept. */
  readonly longestStdout?: number;
  /** It computes for long, and yields to everything else that this machine does. */
  readonly yields?: boolean;
  /** How it is stopped; absent: asked by SIGTERM first. */
  readonly stopBy?: 'SIGKILL';
  /** Time to end after SIGTERM, before SIGKILL; default: 2 s. */
  readonly stopWithinMs?: number;
  /** What it leaves running is meant to go on: a keeper of credentials, say. */
  readonly leavesSome?: boolean;
  /** What the kernel allows it; not on Windows. */
  readonly limits?: ProcessLimits;
}

export interface ProcessLimits {
  /** Memory of its own in each process: not what it maps from files. */
  readonly memoryBytes: number;
  /** The largest file that it writes. */
  readonly fileBytes: number;
}

/** How a program ended, and what it printed, in bytes. */
export interface ProgramEnd {
  /** Undefined if a signal ended it. */
  readonly code: number | undefined;
  readonly killedBy: NodeJS.Signals | undefined;
  readonly endedBy: 'itself' | 'time-out' | 'too much output';
  /** At most 8 MiB, or `longestStdout`. */
  readonly stdout: Uint8Array;
  /** Its end, at most 64 KiB. */
  readonly stderr: Uint8Array;
  /** The end of what it printed on both, as it came; at most 64 KiB. */
  readonly output: Uint8Array;
}

const usualStopWithinMs = 2_000;
const keptAnswer = 8 * 1024 * 1024;
const keptOutput = 64 * 1024;

/**
 * Runs a program to its end, in a process group of its own, started by this very process: see `runProgram` of launcher.ts. When its time is over
 * or the signal aborts, the whole group is stopped, and when it ends by itself, so is whatever it left in the group.
 * @throws Error if it cannot be started (`code` is that of the system: `ENOENT`), and the signal's reason once it is aborted
 */
export async function runHere(run: ProgramRun): Promise<ProgramEnd> {
  run.signal?.throwIfAborted();
  const [program = '', ...words] = run.command;
  // A path of ours would mean another file from where it starts.
  const path = program.includes('/') ? resolve(run.directory ?? '.', program) : program;
  const [first, rest] = run.limits === undefined ? [path, words] : limited(run.limits, [path, ...words]);
  const child = spawn(first, rest, {
    ...(run.directory !== undefined && { cwd: run.directory }),
    env: { ...run.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  if (run.yields && child.pid !== undefined) lowerPriority(child.pid);
  const { longestStdout = Number.POSITIVE_INFINITY } = run;
  const stdout = keepEnd(run.longestStdout ?? keptAnswer);
  const [stderr, output] = [keepEnd(keptOutput), keepEnd(keptOutput)];
  let printed = 0;
  child.stdout.on('data', (bytes: Buffer) => {
    stdout.add(bytes);
    output.add(bytes);
    printed += bytes.length;
    if (printed > longestStdout) stop('too much output');
  });
  child.stderr.on('data', (bytes: Buffer) => {
    stderr.add(bytes);
    output.add(bytes);
  });
  // It may end before it has read anything; how it ended says why.
  child.stdin.on('error', () => undefined);
  child.stdin.end(run.input ?? '');

  let endedBy: ProgramEnd['endedBy'] = 'itself';
  let kill: NodeJS.Timeout | undefined;
  const stop = (reason: ProgramEnd['endedBy']) => {
    endedBy = reason;
    killGroup(child.pid, run.stopBy ?? 'SIGTERM');
    kill ??= setTimeout(() => killGroup(child.pid, 'SIGKILL'), run.stopWithinMs ?? usualStopWithinMs);
  };
  const abort = () => stop('itself');
  const timer = run.timeoutMs === undefined ? undefined : setTimeout(stop, run.timeoutMs, 'time-out');
  run.signal?.addEventListener('abort', abort, { once: true });
  try {
    // What it left running would hold its output open for ever, and 'close' back.
    if (!run.leavesSome) child.once('exit', () => killGroup(child.pid, 'SIGKILL'));
    const [code, killedBy] = await once(child, 'close');
    run.signal?.throwIfAborted();
    const printedBytes = { stdout: stdout.bytes(), stderr: stderr.bytes(), output: output.bytes() };
    return { code: code ?? undefined, killedBy: killedBy ?? undefined, endedBy, ...printedBytes };
  } finally {
    clearTimeout(timer);
    clearTimeout(kill);
    run.signal?.removeEventListener('abort', abort);
  }
}

/** What it starts has the same. */
function lowerPriority(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch (error) {
    // It has ended already.
    if (codeOf(error) !== 'ESRCH' && codeOf(error) !== 'ERR_SYSTEM_ERROR') throw error;
  }
}

/** Node cannot set limits, so a shell does, and becomes the program; what is run is never a part of what the shell reads. */
export function limited({ memoryBytes, fileBytes }: ProcessLimits, command: readonly string[]): [string, string[]] {
  if (process.platform === 'win32') return [command[0] ?? '', command.slice(1)];
  const script = 'ulimit -c 0; ulimit -d "$1"; ulimit -f "$2"; shift 2; exec "$@"';
  // POSIX counts files in blocks of 512 bytes; memory is in KiB everywhere.
  return ['/bin/sh', ['-c', script, 'sh', String(Math.ceil(memoryBytes / 1024)), String(Math.ceil(fileBytes / 512)), ...command]];
}

export function keepEnd(limit: number): { add: (chunk: Buffer) => void; bytes: () => Buffer; text: () => string } {
  let chunks: Buffer[] = [];
  let length = 0;
  const bytes = () => Buffer.concat(chunks).subarray(-limit);
  return {
    add(chunk) {
      chunks.push(chunk);
      length += chunk.length;
      // Joined now and then only: each time would take quadratic time.
      if (length > 2 * limit) {
        chunks = [bytes()];
        length = limit;
      }
    },
    bytes,
    text: () => bytes().toString('utf8'),
  };
}

/** Asks once the time is over, and insists some time later. */
export function stopAfter(milliseconds: number, insistAfterMs: number, stop: (signal: NodeJS.Signals) => void) {
  let fired = false;
  let timer = setTimeout(() => {
    fired = true;
    stop('SIGTERM');
    timer = setTimeout(() => stop('SIGKILL'), insistAfterMs);
  }, milliseconds);
  return { clear: () => clearTimeout(timer), fired: () => fired };
}

/** A program and all that it started, where it leads a process group of its own. */
export function killGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // No process is left in the group, or none that we may kill.
    if (!(codeOf(error) === 'ESRCH' || codeOf(error) === 'EPERM')) throw error;
  }
}
