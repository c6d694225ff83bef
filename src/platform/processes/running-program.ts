import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { Environment } from '../../domain/environment.ts';
import { keepEnd, killGroup, limited, type ProcessLimits } from './program.ts';

interface RunningProgramOptions {
  /** The program and its arguments. */
  readonly command: readonly string[];
  readonly directory: string;
  /** All that it gets: see childEnvironment. */
  readonly environment: Environment;
  readonly limits: ProcessLimits;
}

const keptOutput = 400;
/** After SIGTERM and SIGKILL by the shell, which insists after two seconds. */
const stopWithinMs = 10_000;

/**
 * Runs the program, and a second process that reads what only we hold open: once we are gone, however that came, it ends the program. What
 * is run is never a part of what the shell reads.
 */
const script = `
exec 3<&0 </dev/null
"$@" 3<&- &
program=$!
(cat <&3; kill -TERM $program; sleep 2; kill -KILL $program) >/dev/null 2>&1 &
exec 3<&-
wait $program
`;

/**
 * A program that runs beside us, in a process group of its own, and never longer than we do: not even where we are killed by SIGKILL. It
 * keeps nobody from ending, either. Not for Windows, which has no such shell.
 */
export class RunningProgram {
  /** How it ended, in words on one line, with the end of what it printed. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #output = keepEnd(keptOutput);
  #hasEnded = false;

  private constructor(child: ChildProcess) {
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (bytes: Buffer) => this.#output.add(bytes));
    // It may end before us, and then nobody reads what we hold open.
    child.stdin?.on('error', () => undefined);
    this.ended = once(child, 'exit').then(([code, signal]) => {
      this.#hasEnded = true;
      // What is left of its group: the process that watches us, and it itself where only the shell was killed.
      killGroup(child.pid, 'SIGKILL');
      child.stdin?.destroy();
      const text = this.#output.text().replaceAll(/\s+/g, ' ').trim();
      return `${signal === null ? `exit code ${code}` : `signal ${signal}`}${text === '' ? '' : `: ${text}`}`;
    });
  }

  /** @throws Error where no shell can be started */
  static async start({ command, directory, environment, limits }: RunningProgramOptions): Promise<RunningProgram> {
    const [program = '', ...words] = command;
    // A path of ours would mean another file from where it starts.
    const path = program.includes('/') ? resolve(directory, program) : program;
    const [first, rest] = limited(limits, [path, ...words]);
    const child = spawn('/bin/sh', ['-c', script, 'sh', first, ...rest], {
      cwd: directory,
      env: { ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    await once(child, 'spawn');
    const running = new RunningProgram(child);
    child.unref();
    for (const stream of child.stdio) if (stream !== null && stream !== undefined && 'unref' in stream) unref(stream);
    return running;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Asks it to end, insists after two seconds, and returns when it has ended. */
  async stop(): Promise<void> {
    this.#child.stdin?.end();
    const kill = setTimeout(() => killGroup(this.#child.pid, 'SIGKILL'), stopWithinMs);
    await this.ended;
    clearTimeout(kill);
  }
}

/** Pipes of a child are sockets, although their type does not say so. */
function unref(stream: object): void {
  if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
}
