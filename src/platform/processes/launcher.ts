import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { scriptBeside } from '../thread.ts';
import type { LaunchAnswer, LaunchRequest } from './launch-messages.ts';
import type { ProgramEnd, ProgramRun } from './program.ts';

/**
 * To start a program, the system copies the page tables of the process that does it, and that process stands still meanwhile: 3 ms for one of 50 MB,
 * 47 ms for one of 400 MB, and a proposal in a git repository starts twenty programs. So a small process starts them, for as long as this one lives.
 */
const script = fileURLToPath(scriptBeside(import.meta.url, 'launcher-process'));

/** Its memory is given back where no program was started for so long. */
const idleMs = 60_000;

interface Waiting {
  resolve(end: ProgramEnd): void;
  reject(error: Error): void;
}

/** The process that starts programs for this one. */
class Launcher {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;
  #hasEnded = false;
  #idle: NodeJS.Timeout | undefined;

  constructor() {
    this.#process = fork(script, [], {
      // It needs nothing, and is to have none of the secrets of this one; each program brings its own.
      env: {},
      execArgv: [],
      serialization: 'advanced',
      // What a terminal sends to this process is not for that one.
      detached: true,
      windowsHide: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#process.on('message', (answer: LaunchAnswer) => this.#answered(answer));
    this.#process.on('error', (error) => this.#ended(error.message));
    this.#process.on('exit', (code, signal) => this.#ended(signal ?? `exit code ${code}`));
    // It keeps nobody from ending.
    this.#process.unref();
    this.#process.channel?.unref();
  }

  get isThere(): boolean {
    // That it has ended may be heard of before its channel closes.
    return this.#process.connected && !this.#hasEnded;
  }

  async run({ signal, ...run }: ProgramRun): Promise<ProgramEnd> {
    clearTimeout(this.#idle);
    this.#last += 1;
    const id = this.#last;
    const stop = () => this.#say({ stop: id });
    signal?.addEventListener('abort', stop, { once: true });
    try {
      return await new Promise<ProgramEnd>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#process.channel?.ref();
        this.#say({ id, run });
      });
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) this.#rest();
    }
  }

  #rest(): void {
    this.#process.channel?.unref();
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#process.connected && this.#process.disconnect(), idleMs).unref();
  }

  #say(request: LaunchRequest): void {
    // Where it has ended, that is heard of as well.
    if (this.#process.connected) this.#process.send(request, () => undefined);
  }

  #answered(answer: LaunchAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    if ('end' in answer) waiting?.resolve(answer.end);
    else waiting?.reject(Object.assign(new Error(answer.error.message), answer.error.code && { code: answer.error.code }));
  }

  #ended(how: string): void {
    this.#hasEnded = true;
    const error = new Error(`the process that starts programs for Landfall ended (${how}); it is started again`);
    for (const { reject } of this.#waiting.values()) reject(error);
  }
}

let launcher: Launcher | undefined;

/** How a program ended, and what it printed, as text. */
export interface ProgramAnswer extends Omit<ProgramEnd, 'stdout' | 'stderr' | 'output'> {
  readonly stdout: string;
  readonly stderr: string;
  readonly output: string;
}

/** See `runHere`, which a small process of ours does. @throws what `runHere` throws, and Error where that process is killed */
export async function runProgramForBytes(run: ProgramRun): Promise<ProgramEnd> {
  run.signal?.throwIfAborted();
  if (!launcher?.isThere) launcher = new Launcher();
  try {
    return await launcher.run({ ...run, environment: { ...run.environment } });
  } catch (error) {
    run.signal?.throwIfAborted();
    throw error;
  }
}

/** The same for a program that prints text. */
export async function runProgram(run: ProgramRun): Promise<ProgramAnswer> {
  const { stdout, stderr, output, ...end } = await runProgramForBytes(run);
  return { ...end, stdout: textOf(stdout), stderr: textOf(stderr), output: textOf(output) };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
