import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';
import type { Log } from '../../domain/log.ts';

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

interface SupervisedOptions {
  /** For log lines and errors. */
  readonly name: string;
  readonly command: string;
  /** Asked for before each start: a port that was free for the last one may be taken by now. */
  readonly arguments: () => Promise<readonly string[]>;
  readonly env: Readonly<Record<string, string>>;
  /** Which modes the files that it makes do not get. */
  readonly umask: number;
  /** Takes what the process prints. Replaced at the first start, extended at restarts. */
  readonly logFile: string;
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** Awaited after each start, before anything else happens. */
  readonly onStart: (pid: number) => Promise<void>;
  readonly onExit?: (exit: Exit) => void;
}

const firstRestartMs = 200;
const longestRestartMs = 10_000;
/** Having run this long, it is taken to be well: the next restart comes fast again. */
const wellAfterMs = 60_000;
const stopGraceMs = 15_000;

/**
 * Keeps a program running in a process group of its own: whenever it ends unasked, it is started again, faster or slower by how long it
 * lived. It prints into a file rather than a pipe, so that it survives our own death by SIGKILL; every other end of ours takes it along.
 */
export class Supervised {
  readonly #options: SupervisedOptions;
  #child: ChildProcess | undefined;
  #unaskedExits = 0;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = firstRestartMs;
  readonly #takeAlong = (): void => void this.#child?.kill('SIGKILL');

  constructor(options: SupervisedOptions) {
    this.#options = options;
    process.once('exit', this.#takeAlong);
  }

  /** @throws where the command cannot be started at all */
  static async start(options: SupervisedOptions): Promise<Supervised> {
    const supervised = new Supervised(options);
    await supervised.#start('w').catch(async (error: unknown) => {
      await supervised.stop();
      throw error;
    });
    return supervised;
  }

  pid(): number | undefined {
    return this.#child?.pid;
  }

  /** How often it ended without being asked to. */
  exits(): number {
    return this.#unaskedExits;
  }

  /** The end of its log, at most 20 lines. */
  async lastLines(): Promise<string> {
    const text = await readFile(this.#options.logFile, 'utf8');
    return text.trimEnd().split('\n').slice(-20).join('\n');
  }

  async #start(logMode: 'w' | 'a'): Promise<void> {
    const { logFile, onStart } = this.#options;
    const output = await open(logFile, logMode, 0o600);
    try {
      const args = await this.#options.arguments();
      if (this.#stopping) return;
      const child = this.#spawn(args, output.fd);
      const startedAt = Date.now();
      this.#child = child;
      child.once('exit', (code, signal) => this.#ended(child, { code, signal }, Date.now() - startedAt));
      await once(child, 'spawn');
      if (child.pid !== undefined) await onStart(child.pid);
    } catch (error) {
      if (this.#child?.pid === undefined) this.#child = undefined;
      // The caller does not know about it, so it must not run on beside the next one.
      else this.#child.kill('SIGKILL');
      throw error;
    } finally {
      await output.close();
    }
  }

  /** The umask is of the whole process, and a child has that of its parent at the moment of its birth, which is over when this returns. */
  #spawn(args: readonly string[], output: number): ChildProcess {
    const { command, env, umask } = this.#options;
    const before = process.umask(umask);
    try {
      return spawn(command, args, { detached: true, env, stdio: ['ignore', output, output] });
    } finally {
      process.umask(before);
    }
  }

  #ended(child: ChildProcess, exit: Exit, livedMs: number): void {
    if (this.#child === child) this.#child = undefined;
    if (this.#stopping) return;
    this.#unaskedExits += 1;
    if (livedMs >= wellAfterMs) this.#restartMs = firstRestartMs;
    this.#options.log.warn({ ...exit, restartInMs: this.#restartMs }, `${this.#options.name} ended by itself`);
    this.#restartLater();
    this.#options.onExit?.(exit);
  }

  #restartLater(): void {
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => {
      this.#start('a').catch((error: unknown) => {
        this.#options.log.error({ error: String(error) }, `${this.#options.name} could not be started again`);
        // One that did start is followed by the next when it has ended.
        if (!this.#stopping && this.#child === undefined) this.#restartLater();
      });
    }, this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, longestRestartMs);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child !== undefined) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      const kill = setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
      await ended;
      clearTimeout(kill);
    }
    process.off('exit', this.#takeAlong);
  }
}
