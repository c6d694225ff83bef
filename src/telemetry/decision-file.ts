import fs from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type ChainEnd, type ChainHash, chainBeginning, chainedText, readChained } from '../domain/decision-chain.ts';
import type { Log } from '../domain/log.ts';
import { type AuditWriter, createLineWriter, type LineFile, usualMode } from './audit-file.ts';
import { withBriefLock } from './brief-lock.ts';

export interface DecisionFileSettings {
  /** Absolute. Earlier files are `FILE.1` (the newest) and so on. */
  readonly file: string;
  /** From this size on the file is begun anew. */
  readonly bytes: number;
  /** Asked for at each write. */
  readonly hash: () => ChainHash;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Is told of each failure beyond the one that is logged. */
  readonly failedAgain?: () => void;
  /** Of files that are made. Default: as of the audit log. */
  readonly mode?: number;
  readonly retryMs?: number;
}

/**
 * The log of decisions: a chain of lines that nothing washes away, as no earlier file is ever removed. Decisions are rare, so for each write
 * the file is opened, under a lock: what another process has written meanwhile, or a crash has torn, is seen there and gone on from.
 */
export function createDecisionFile(settings: DecisionFileSettings): AuditWriter {
  return createLineWriter(settings, createChainedFile(settings));
}

function createChainedFile({ file, bytes, hash, log, mode = usualMode }: DecisionFileSettings): LineFile {
  let own = chainBeginning;
  const endOfAll = (): ChainEnd => {
    const end = endOf(file) ?? endOf(`${file}.1`) ?? chainBeginning;
    if (end.number >= own.number) return end;
    // Going on from what was there keeps the gap in sight.
    log.warn(
      { file, expected: own.number, found: end.number },
      'decisions are gone from their log: somebody has taken them away',
    );
    return own;
  };
  const append = (lines: string): void => {
    if ((fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) >= bytes) moveOn(file);
    let end = endOfAll();
    const texts = lines
      .trimEnd()
      .split('\n')
      .map((line) => {
        const next = chainedText(line, end, hash());
        end = next.end;
        return `${next.text}\n`;
      });
    fs.appendFileSync(file, `${isTorn(file) ? '\n' : ''}${texts.join('')}`, { mode });
    own = end;
  };
  return {
    append(lines) {
      fs.mkdirSync(dirname(file), { recursive: true });
      withBriefLock(`${file}.lock`, () => append(lines));
    },
    close: () => undefined,
  };
}

/** `FILE` becomes `FILE.1`, and each that is there already the next one. */
function moveOn(file: string): void {
  const first = `${basename(file)}.`;
  const numbers = fs
    .readdirSync(dirname(file))
    .filter((name) => name.startsWith(first) && /^\d{1,6}$/.test(name.slice(first.length)))
    .map((name) => Number(name.slice(first.length)));
  for (const number of numbers.sort((one, other) => other - one)) {
    fs.renameSync(`${file}.${number}`, join(dirname(file), `${first}${number + 1}`));
  }
  fs.renameSync(file, `${file}.1`);
}

/** More than a line has, and than a crash can tear. */
const longestEnd = 256 * 1024;

/** The last line of the chain that a file has, whole; undefined if there is none. */
function endOf(file: string): ChainEnd | undefined {
  const lines = lastBytes(file, longestEnd).toString().split('\n');
  const last = lines.findLast((line) => readChained(line) !== undefined);
  return last === undefined ? undefined : readChained(last);
}

/** Whether a crash, or a full disk, has cut the last line off. */
function isTorn(file: string): boolean {
  const last = lastBytes(file, 1);
  return last.length === 1 && last.toString() !== '\n';
}

/** None if there is no such file. */
function lastBytes(file: string, most: number): Buffer {
  if (!fs.existsSync(file)) return Buffer.alloc(0);
  const descriptor = fs.openSync(file, 'r');
  try {
    const { size } = fs.fstatSync(descriptor);
    const length = Math.min(size, most);
    const bytes = Buffer.alloc(length);
    return bytes.subarray(0, fs.readSync(descriptor, bytes, 0, length, size - length));
  } finally {
    fs.closeSync(descriptor);
  }
}
