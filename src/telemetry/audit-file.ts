import fs from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';

/** Somewhere that lines of the audit log go. */
export interface AuditWriter {
  /** Takes lines, each with its line break. Never throws. */
  write(lines: string): void;
  /** Writes what is waiting, as far as that goes within a bounded time, and takes no more. */
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
  /** Is told of each failure beyond the one that is logged. */
  readonly failedAgain?: () => void;
  /** Of files that are made. Default: names of people and addresses of senders are for the group of those who run this. */
  readonly mode?: number;
  /** How long a file that could not be written to is left alone, in milliseconds. */
  readonly retryMs?: number;
}

/** Some 30,000 lines; what is more than that while the disk takes nothing is lost, the oldest first. */
const mostWaitingBytes = 8 * 1024 ** 2;
export const usualMode = 0o640;

/** A file, or several in a row, that takes lines at once or throws. */
export interface LineFile {
  append(lines: string): void;
  close(): void;
}

/** Lines in a file that rotates. */
export function createAuditFile(settings: AuditFileSettings): AuditWriter {
  return createLineWriter(settings, createRotatingFile(settings));
}

/**
 * A line has been handed to the system when `write` returns, so that a process that is killed loses none. A file that cannot be written to
 * is said once, and tried again.
 */
export function createLineWriter(
  { file, log, failedAgain, retryMs = 5_000 }: Pick<AuditFileSettings, 'file' | 'log' | 'failedAgain' | 'retryMs'>,
  to: LineFile,
): AuditWriter {
  let waiting: string[] = [];
  let [waitingBytes, lost] = [0, 0];
  let [isBroken, isClosed] = [false, false];
  let retry: NodeJS.Timeout | undefined;
  const flush = (): void => {
    if (waiting.length === 0) return;
    try {
      to.append(waiting.join(''));
    } catch (error) {
      if (isBroken) failedAgain?.();
      else {
        log.warn(
          { file, reason: messageOf(error) },
          'the audit log cannot be written: lines wait, and are on standard output; mend the folder or disk',
        );
      }
      isBroken = true;
      if (!isClosed) retry = setTimeout(flush, retryMs).unref();
      return;
    }
    [waiting, waitingBytes] = [[], 0];
    if (isBroken) log.info({ file, lost }, 'the audit log can be written again');
    [isBroken, lost] = [false, 0];
  };
  // For what waits when the process exits without having been stopped in order.
  process.on('exit', flush);
  return {
    write(lines) {
      if (isClosed) return;
      waiting.push(lines);
      waitingBytes += lines.length;
      while (waitingBytes > mostWaitingBytes) {
        const oldest = waiting.shift() ?? '';
        waitingBytes -= oldest.length;
        lost += countLines(oldest);
      }
      if (!isBroken) flush();
    },
    async close() {
      isClosed = true;
      clearTimeout(retry);
      process.off('exit', flush);
      flush();
      lost += countLines(waiting.join(''));
      if (lost > 0) log.warn({ file, lost }, 'lines of the audit log could not be written');
      to.close();
    },
  };
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}

/** Whatever is asked of it is done when the call returns. The size is counted here: to ask for it would double what a line costs. */
function createRotatingFile({
  file,
  bytes,
  keep,
  mode = usualMode,
}: Pick<AuditFileSettings, 'file' | 'bytes' | 'keep' | 'mode'>): LineFile {
  let current: { readonly descriptor: number; size: number } | undefined;
  const close = (): void => {
    const closing = current;
    current = undefined;
    if (closing !== undefined) fs.closeSync(closing.descriptor);
  };
  const open = () => {
    fs.mkdirSync(dirname(file), { recursive: true });
    if (fs.statSync(file, { throwIfNoEntry: false })?.isFile() === false) throw new Error('it is not a file');
    const descriptor = fs.openSync(file, 'a+', mode);
    const { size } = fs.fstatSync(descriptor);
    current = { descriptor, size };
    const last = Buffer.alloc(1);
    // What a crash or a full disk cut off must not run into the next line.
    if (size > 0 && fs.readSync(descriptor, last, 0, 1, size - 1) === 1 && last.toString() !== '\n')
      fs.appendFileSync(descriptor, '\n');
    return current;
  };
  const rotate = () => {
    close();
    if (keep === 0) fs.rmSync(file, { force: true });
    for (let number = keep; number > 0; number -= 1) {
      const newer = number === 1 ? file : `${file}.${number - 1}`;
      if (fs.existsSync(newer)) fs.renameSync(newer, `${file}.${number}`);
    }
    return open();
  };
  return {
    close,
    append(text: string): void {
      try {
        let to = current ?? open();
        if (to.size >= bytes) to = rotate();
        fs.appendFileSync(to.descriptor, text);
        to.size += Buffer.byteLength(text);
      } catch (error) {
        close();
        throw error;
      }
    },
  };
}
