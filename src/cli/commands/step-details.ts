import { type Evidence, isEvidence, withoutQuotes } from '../../domain/evidence.ts';
import { formatDuration, plain, table } from '../terminal.ts';

/**
 * What a person should see of a blocked step: what a check found, readings of its health, log lines as they are, anything else as JSON.
 * Details come from workers of any version, so nothing about their shape is taken for granted.
 */
export function detailLines(details: unknown): string[] {
  // A failure's details are a list; nearly always of one.
  if (Array.isArray(details)) return details.flatMap(detailLines);
  if (details === undefined || details === null) return [];
  if (typeof details !== 'object') return String(details).split('\n');
  if (isEvidence(details)) return evidenceLines(details);
  if ('before' in details && 'now' in details && isReading(details.before)) {
    return ['before the change:', ...readingsTable([details.before]), 'after it:', ...detailLines(details.now)];
  }
  if ('changes' in details && Array.isArray(details.changes)) return otherChanges(details, details.changes);
  if (isReading(details)) return readingsTable([details]);
  if ('failures' in details && Array.isArray(details.failures)) return healthLines(details, details.failures);
  if ('log' in details && typeof details.log === 'string') return logLines(details.log);
  return JSON.stringify(details, null, 2).split('\n');
}

/** What comes along besides the image, and who brought it. */
function otherChanges(details: object, changes: readonly unknown[]): string[] {
  const commits = 'commits' in details && Array.isArray(details.commits) ? details.commits : [];
  const more = cell(details, 'more');
  return [
    ...changes.map((change) => plain(String(change))),
    ...(more === '' ? [] : [`and ${more} more`]),
    ...(commits.length === 0 ? [] : ['brought by:']),
    ...table(commits.map((commit) => [cell(commit, 'commit'), plain(cell(commit, 'author')), plain(cell(commit, 'subject'))])),
  ];
}

/** What a check found: in one line, and then in columns, one by one, or as a log. */
function evidenceLines({ title, text, items = [], rows, log }: Evidence): string[] {
  const details = rows ?? items.map(({ label = '', text }) => [label, withoutQuotes(text)]);
  return [
    plain(`${title}: ${withoutQuotes(text)}`),
    ...table(details.map((cells) => cells.map(plain))),
    ...(log === undefined ? [] : logLines(log)),
  ];
}

/** How often it was looked at, the readings that decided, and what the container said. */
function healthLines(details: object, failures: readonly unknown[]): string[] {
  const slowest = Number(cell(details, 'slowestMs'));
  const facts = [
    `${cell(details, 'failed')} of ${cell(details, 'readings')} readings failed`,
    ...(Number.isFinite(slowest) ? [`slowest ${formatDuration(slowest)}`] : []),
  ];
  const log = cell(details, 'log');
  return [facts.join(', '), ...readingsTable(failures), ...(log === '' ? [] : markedLines(log))];
}

function isReading(details: unknown): boolean {
  return typeof details === 'object' && details !== null && 'healthy' in details && 'text' in details;
}

function readingsTable(readings: readonly unknown[]): string[] {
  return table(
    readings.map((reading) => [
      cell(reading, 'at'),
      cell(reading, 'healthy') === 'true' ? 'healthy' : 'unhealthy',
      plain(cell(reading, 'text')),
    ]),
  );
}

function logLines(log: string): string[] {
  return log.trimEnd() === '' ? ['(no log lines)'] : markedLines(log);
}

function markedLines(log: string): string[] {
  return log
    .trimEnd()
    .split('\n')
    .map((line) => `| ${line}`);
}

function cell(record: unknown, key: string): string {
  const value =
    typeof record === 'object' && record !== null ? Object.entries(record).find(([name]) => name === key)?.[1] : undefined;
  return value === undefined ? '' : String(value);
}
