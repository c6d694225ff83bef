import { appendFileSync, closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createStream, type RotatingFileStream } from 'rotating-file-stream';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';

/** Somewhere that lines of the audit log go. */
export interface AuditWriter {
  /** Takes one line, with its line break. Returns at once and never throws. */
  write(line: string): void;
  /** Writes what is waiting, as long as that takes no longer than the writer's grace time, and takes no more. */
  close(): Promise<void>;
}

export interface AuditFileSettings {
  /** Absolute. Earlier files are `FILE.1` (the newest) to `FILE.KEEP`. Missing folders are made. */
  readonly file: string;
  /** From this size on the file is begun anew. */
  readonly bytes: number;
  /** How many earlier files stay. */
  readonly keep: number;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** How long a file that could not be written to is left alone, in milliseconds. */
  readonly retryMs?: number;
}

/** Some 30,000 lines; what is more than that while the disk takes nothing is lost, the oldest first. */
const mostWaitingBytes = 8 * 1024 ** 2;
const chunkBytes = 256 * 1024;
const graceMs = 5_000;
/** Names of people and addresses of senders are for the group of those who run this. */
const mode = 0o640;

/**
 * Lines in a file that rotates. They are handed to the system as soon as the lines before them are, so that a process that is killed loses
 * what one write takes, and one that exits loses nothing. A file that cannot be written to is said once, and tried again.
 */
export function createAuditFile(settings: AuditFileSettings): AuditWriter {
  return new AuditFile(settings);
}

class AuditFile implements AuditWriter {
  readonly #settings: AuditFileSettings;
  #stream: RotatingFileStream | undefined;
  #waiting: string[] = [];
  /** What the write that is under way takes. */
  #taken: readonly string[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #isBroken = false;
  #isClosed = false;
  /** The write that is under way. */
  #work: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  readonly #atExit = (): void => this.#writeAtOnce();

  constructor(settings: AuditFileSettings) {
    this.#settings = settings;
    process.on('exit', this.#atExit);
  }

  write(line: string): void {
    if (this.#isClosed) return;
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    while (this.#waitingBytes > mostWaitingBytes) this.#lose();
    this.#begin();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#begin();
    await within(graceMs, this.#work);
    process.off('exit', this.#atExit);
    this.#lost += this.#waiting.length;
    const { log, file } = this.#settings;
    if (this.#lost > 0) log.warn({ file, lost: this.#lost }, 'lines of the audit log could not be written');
    await within(graceMs, this.#closeStream());
  }

  #begin(): void {
    if (this.#work !== undefined || this.#retry !== undefined || this.#waiting.length === 0) return;
    this.#work = this.#writeAll().finally(() => {
      this.#work = undefined;
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const lines = this.#take();
      this.#taken = lines;
      try {
        await this.#put(lines.join(''));
        this.#taken = [];
        this.#mended();
      } catch (error) {
        this.#broke(lines, error);
        return;
      }
    }
  }

  #take(): string[] {
    let [count, bytes] = [0, 0];
    for (const { length } of this.#waiting) {
      if (count > 0 && bytes + length > chunkBytes) break;
      count += 1;
      bytes += length;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  async #put(text: string): Promise<void> {
    const isNew = this.#stream === undefined;
    const stream = this.#stream ?? this.#open();
    // What a crash or a full disk cut off must not run into the next line.
    const torn = isNew && endsTorn(this.#settings.file) ? '\n' : '';
    await new Promise<void>((resolve, reject) => {
      stream.once('error', reject);
      stream.write(`${torn}${text}`, (error) => {
        stream.off('error', reject);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  #open(): RotatingFileStream {
    const { file, bytes, keep } = this.#settings;
    const stream = createStream(file, { size: `${bytes}B`, rotate: Math.max(keep, 1), mode });
    // An error that comes between two writes is met by the next one.
    stream.on('error', () => undefined);
    if (keep === 0) stream.on('rotated', (rotated) => void rm(rotated, { force: true }).catch(() => undefined));
    this.#stream = stream;
    return stream;
  }

  #broke(lines: readonly string[], error: unknown): void {
    const { file, log, retryMs = 5_000 } = this.#settings;
    this.#taken = [];
    this.#waiting.unshift(...lines);
    this.#waitingBytes += lines.reduce((bytes, { length }) => bytes + length, 0);
    if (!this.#isBroken) {
      const reason = messageOf(error);
      log.warn(
        { file, reason },
        'the audit log cannot be written: lines wait, and are on standard output; mend the folder or disk',
      );
    }
    this.#isBroken = true;
    void this.#closeStream();
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#begin();
    }, retryMs).unref();
  }

  #mended(): void {
    if (!this.#isBroken) return;
    this.#settings.log.info({ file: this.#settings.file, lost: this.#lost }, 'the audit log can be written again');
    this.#isBroken = false;
    this.#lost = 0;
  }

  #lose(): void {
    const line = this.#waiting.shift();
    this.#waitingBytes -= line?.length ?? this.#waitingBytes;
    this.#lost += 1;
  }

  async #closeStream(): Promise<void> {
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined || stream.destroyed) return;
    await new Promise<void>((resolve) => stream.once('close', resolve).destroy());
  }

  /** The process exits without having been stopped in order: there is no time for anything that answers later. */
  #writeAtOnce(): void {
    // A write that is under way may or may not succeed: rather a line twice than not at all.
    const lines = [...this.#taken, ...this.#waiting];
    if (lines.length === 0) return;
    try {
      appendFileSync(this.#settings.file, lines.join(''), { mode });
    } catch {
      // Standard output has them, and the process is about to end.
    }
  }
}

function endsTorn(file: string): boolean {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const last = Buffer.alloc(1);
    const { size } = fstatSync(descriptor);
    return size > 0 && readSync(descriptor, last, 0, 1, size - 1) === 1 && last.toString() !== '\n';
  } catch {
    // A file that is not there yet, or that the write itself will complain about.
    return false;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

async function within(milliseconds: number, work: Promise<void> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
