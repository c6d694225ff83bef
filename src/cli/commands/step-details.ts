import type { SmokeFailure } from '../../domain/outcomes.ts';
import { formatDuration, plain, table } from '../terminal.ts';

/**
 * What a person should see of a blocked step: findings as a table, readings of its health, log lines as they are, anything else as JSON.
 * Details come from workers of any version, so nothing about their shape is taken for granted.
 */
export function detailLines(details: unknown): string[] {
  // A failure's details are a list; nearly always of one.
  if (Array.isArray(details)) return details.flatMap(detailLines);
  if (details === undefined || details === null) return [];
  if (typeof details !== 'object') return String(details).split('\n');
  if ('worst' in details && Array.isArray(details.worst)) return findingsTable(details.worst);
  if ('before' in details && 'now' in details && isReading(details.before)) {
    return ['before the change:', ...readingsTable([details.before]), 'after it:', ...detailLines(details.now)];
  }
  if ('changes' in details && Array.isArray(details.changes)) return otherChanges(details, details.changes);
  if (isReading(details)) return readingsTable([details]);
  if ('failures' in details && Array.isArray(details.failures)) return healthLines(details, details.failures);
  if ('log' in details && typeof details.log === 'string') return logLines({ platform: '', ...details, log: details.log });
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

function findingsTable(findings: readonly unknown[]): string[] {
  const fixed = (finding: unknown): string =>
    cell(finding, 'fixed') === '' ? 'no fix yet' : `fixed in ${cell(finding, 'fixed')}`;
  return table(
    findings.map((finding) => [
      cell(finding, 'severity'),
      cell(finding, 'id'),
      `${cell(finding, 'where')} ${cell(finding, 'installed')}`.trim(),
      cell(finding, 'kind') === 'secret' ? 'secret' : fixed(finding),
      cell(finding, 'platform'),
      cell(finding, 'title'),
    ]),
  );
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

function logLines({ platform, exitCode, outOfMemory, log }: SmokeFailure): string[] {
  const facts = [
    ...(platform === '' ? [] : [`platform ${platform}`]),
    ...(exitCode === undefined ? [] : [`exit code ${exitCode}`]),
    ...(outOfMemory === true ? ['out of memory'] : []),
  ];
  const lines = log.trimEnd() === '' ? ['(no log lines)'] : markedLines(log);
  return [...(facts.length === 0 ? [] : [facts.join(', ')]), ...lines];
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
