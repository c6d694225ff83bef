import { z } from 'zod';
import type { Configuration } from '../config/configuration.ts';
import { auditFilesOf, decisionFileOf } from '../config/roles.ts';
import { type AuditLine, servicesIn } from '../domain/audit.ts';
import { linesOf, type OpenFile, openAll } from './audit-files.ts';
import { NotFound } from './errors.ts';
import type { AuditQuery } from './inputs.ts';

/** What was read of the audit log. */
export interface AuditReading {
  /** The newest file. */
  readonly file: string;
  /** How many lines were none: torn by a crash or a full disk, or written by somebody else. */
  skipped: number;
  /** How many entries there were. */
  read: number;
  /** There are earlier ones that were asked for, and not handed over. */
  readonly isCut?: boolean;
}

/**
 * Hands over every entry that is asked for, of the log and of its rotated predecessors (`FILE.1`, `FILE.2.gz`, …), the oldest first. The
 * log may be written to and rotate meanwhile.
 * @throws NotFound where there is none, Refused where it cannot be read
 */
export async function readAudit(
  { audit: { file } }: Pick<Configuration, 'audit'>,
  query: AuditQuery,
  take: (entry: AuditLine) => void,
): Promise<Readonly<AuditReading>> {
  const reading: AuditReading = { file, skipped: 0, read: 0 };
  const opened: OpenFile[][] = [];
  try {
    // Two logs for each process: of requests, and of decisions.
    const logs = auditFilesOf(file).flatMap((log) => [log, decisionFileOf(log)]);
    for (const log of logs) opened.push(await openAll(log));
    if (opened.every((files) => files.length === 0)) {
      throw new NotFound(
        `there is no audit log at ${file}: nothing was recorded yet, or audit.file of the configuration is another one`,
      );
    }
    for await (const entry of inOrderOfTime(opened.map((files) => entriesOf(files, reading)))) {
      if (isWanted(entry, query)) take(entry);
    }
  } finally {
    await Promise.all(opened.flat().map(({ handle }) => handle.close().catch(() => undefined)));
  }
  return reading;
}

function isWanted(entry: AuditLine, { since = Number.NEGATIVE_INFINITY, source, outcome, service }: AuditQuery): boolean {
  return (
    // What has no time is rather shown than hidden.
    !(Date.parse(entry.timestamp) < since) &&
    (source === undefined || entry.source === source) &&
    (outcome === undefined || entry.outcome === outcome) &&
    (service === undefined || servicesIn(entry).includes(service))
  );
}

/** The oldest first. */
async function* entriesOf(files: readonly OpenFile[], reading: AuditReading): AsyncGenerator<AuditLine> {
  for (const { name, handle } of [...files].reverse()) {
    for await (const line of linesOf(name, handle)) {
      if (line.trim() === '') continue;
      const entry = entryIn(line);
      reading[entry === undefined ? 'skipped' : 'read'] += 1;
      if (entry !== undefined) yield entry;
    }
  }
}

/** Of several logs, each in order by itself. What has no readable time comes where it stands. */
async function* inOrderOfTime(logs: readonly AsyncGenerator<AuditLine>[]): AsyncGenerator<AuditLine> {
  const heads: { entry: AuditLine; readonly log: AsyncGenerator<AuditLine> }[] = [];
  for (const log of logs) {
    const { value: entry, done } = await log.next();
    if (!done) heads.push({ entry, log });
  }
  const timeOf = ({ entry }: { readonly entry: AuditLine }) => Date.parse(entry.timestamp) || 0;
  for (;;) {
    const [first, ...others] = heads;
    if (first === undefined) return;
    const oldest = others.reduce((one, other) => (timeOf(other) < timeOf(one) ? other : one), first);
    yield oldest.entry;
    const { value: entry, done } = await oldest.log.next();
    if (done) heads.splice(heads.indexOf(oldest), 1);
    else oldest.entry = entry;
  }
}

/** What every entry has. */
const entryShape = z.object({ timestamp: z.string(), event_type: z.string(), source: z.string(), outcome: z.string() });

function entryIn(line: string): AuditLine | undefined {
  try {
    const entry: unknown = JSON.parse(line);
    return entryShape.safeParse(entry).success ? (entry as AuditLine) : undefined;
  } catch {
    return undefined;
  }
}
