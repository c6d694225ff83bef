import type { AuditLine, DecisionEntry, RequestLine } from '../../domain/audit.ts';
import { plain } from '../terminal.ts';

/** One line for people: when, source, outcome, status, repository, service, and what came of it. Files from elsewhere may hold anything. */
export function auditLine(entry: AuditLine): string {
  const { timestamp, source, outcome, status, repository, service } = entry;
  const cells = [word(timestamp).padEnd(24), word(source).padEnd(12), word(outcome).padEnd(15), word(status).padEnd(8)];
  const where = repository ?? (entry.event_type === 'registry_searched' ? entry.registry : null);
  return [...cells, word(where), word(service), plain(whatCame(entry))].join('  ').trimEnd();
}

/** As JSON in one line that steers no terminal; what is escaped means the same. */
export function auditJson(entry: AuditLine): string {
  return JSON.stringify(entry).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    [...Array(character.length).keys()]
      .map((index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}

function word(value: unknown): string {
  return plain(textOf(value)) || '-';
}

function textOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function listOf(value: unknown): string {
  return Array.isArray(value) ? value.map(textOf).join(', ') : '';
}

function whatCame(entry: AuditLine): string {
  if (entry.event_type === 'webhook_received') return whatStarted(entry);
  if (entry.event_type === 'decision_made') return whatWasDecided(entry);
  const found =
    entry.event_type === 'registry_searched' ? listOf(entry.found) : listOf((entry as { redelivered?: unknown }).redelivered);
  return found || textOf(entry.reason);
}

function whatStarted({ rollouts, resolving, forwarding, progress, ignored, reason, omitted }: RequestLine): string {
  const started = [
    listOf(rollouts),
    ...[resolving, forwarding].map(listOf),
    listOf(progress) && `told ${listOf(progress)} to look again`,
    textOf(ignored) || textOf(reason),
    omitted === undefined ? '' : `and ${textOf(omitted)} more like it`,
  ];
  return started.filter((part) => part !== '').join(', ');
}

function whatWasDecided({
  action,
  by,
  reason,
  stage,
  step,
  digest,
  workflow,
  started,
}: Omit<DecisionEntry, 'services' | 'repositories'>): string {
  const at = [stage, step === action ? undefined : step].map(textOf).filter((part) => part !== '');
  const what = [textOf(action), ...at, `by ${textOf(by)}`].join(' ');
  const on = [textOf(workflow), textOf(started) && `starts ${textOf(started)}`, textOf(digest)].filter((part) => part !== '');
  return `${what}${textOf(reason) && `: ${textOf(reason)}`} (${on.join(', ')})`;
}
