import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { open, readFile } from 'node:fs/promises';

/** The part of a pino logger that is used. */
export interface SupervisorLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface SupervisedOptions {
  /** For log lines and errors. */
  readonly name: string;
  readonly command: string;
  readonly arguments: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Takes what the process prints. Replaced at the first start, extended at restarts. */
  readonly logFile: string;
  readonly log: SupervisorLog;
  /** Awaited after each start, before anything else happens. */
  readonly onStart: (pid: number) => Promise<void>;
  readonly onExit?: (exit: { readonly code: number | null; readonly signal: NodeJS.Signals | null }) => void;
}

export interface Supervised {
  pid(): number | undefined;
  /** How often it ended without being asked to. */
  exits(): number;
  /** The end of its log, at most 20 lines. */
  lastLines(): Promise<string>;
  stop(): Promise<void>;
}

const firstRestartMs = 200;
const longestRestartMs = 10_000;
/** Having run this long, it is taken to be well: the next restart comes fast again. */
const wellAfterMs = 60_000;
const stopGraceMs = 15_000;

/**
 * Keeps a program running in a process group of its own: whenever it ends unasked, it is started again, faster or slower by how long it
 * lived. It prints into a file rather than a pipe, so that it survives our own death without losing its footing.
 * @throws where the command cannot be started at all
 */
export async function superviseProcess(options: SupervisedOptions): Promise<Supervised> {
  const supervisor = new Supervisor(options);
  await supervisor.start('w');
  return supervisor;
}

class Supervisor implements Supervised {
  readonly #options: SupervisedOptions;
  #child: ChildProcess | undefined;
  #unaskedExits = 0;
  #stopping = false;
  #restart: NodeJS.Timeout | undefined;
  #restartMs = firstRestartMs;

  constructor(options: SupervisedOptions) {
    this.#options = options;
  }

  pid(): number | undefined {
    return this.#child?.pid;
  }

  exits(): number {
    return this.#unaskedExits;
  }

  async lastLines(): Promise<string> {
    const text = await readFile(this.#options.logFile, 'utf8');
    return text.trimEnd().split('\n').slice(-20).join('\n');
  }

  async start(logMode: 'w' | 'a'): Promise<void> {
    const { command, env, logFile, onStart } = this.#options;
    const output = await open(logFile, logMode);
    try {
      if (this.#stopping) return;
      const child = spawn(command, this.#options.arguments, { detached: true, env, stdio: ['ignore', output.fd, output.fd] });
      const startedAt = Date.now();
      this.#child = child;
      child.once('exit', (code, signal) => this.#ended(child, { code, signal }, Date.now() - startedAt));
      await once(child, 'spawn');
      if (child.pid !== undefined) await onStart(child.pid);
    } catch (error) {
      if (this.#child?.pid === undefined) this.#child = undefined;
      throw error;
    } finally {
      await output.close();
    }
  }

  #ended(child: ChildProcess, exit: { code: number | null; signal: NodeJS.Signals | null }, livedMs: number): void {
    if (this.#child === child) this.#child = undefined;
    if (this.#stopping) return;
    this.#unaskedExits += 1;
    if (livedMs >= wellAfterMs) this.#restartMs = firstRestartMs;
    this.#options.log.warn({ ...exit, restartInMs: this.#restartMs }, `${this.#options.name} ended by itself`);
    this.#restartLater();
    this.#options.onExit?.(exit);
  }

  #restartLater(): void {
    this.#restart = setTimeout(() => {
      this.start('a').catch((error: unknown) => {
        this.#options.log.error({ error: String(error) }, `${this.#options.name} could not be started again`);
        if (!this.#stopping) this.#restartLater();
      });
    }, this.#restartMs);
    this.#restartMs = Math.min(this.#restartMs * 2, longestRestartMs);
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (child === undefined) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const kill = setTimeout(() => child.kill('SIGKILL'), stopGraceMs);
    await ended;
    clearTimeout(kill);
  }
}
