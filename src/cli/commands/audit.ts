import type { Command } from 'commander';
import type { AuditLine, DecisionEntry, RefusalEntry, RequestLine } from '../../domain/audit.ts';
import { InvalidInput } from '../../operations/errors.ts';
import type { AuditQuery, VerifiedAudit } from '../../operations/index.ts';
import { addCommandOptions, type CliContext, type CommandOptions } from '../context.ts';
import { exitCodes, UsageFailure } from '../errors.ts';
import { withOperations } from '../reach.ts';
import { plain } from '../terminal.ts';

type AuditOptions = CommandOptions & { readonly [Key in keyof AuditQuery]?: string } & { readonly verify?: boolean };

export function addAudit(program: Command, context: CliContext, setExitCode: (code: number) => void): void {
  const audit = program
    .command('audit')
    .description('print the audit log, the oldest first: every request and decision, and what came of it')
    .option('--since <time>', 'not what is older: 30m, 24h, 7d, or a date or time (UTC unless it says otherwise)')
    .option('--source <name>', 'only of this source: github, quay, operator, …')
    .option('--outcome <word>', 'only with this outcome: accepted, ignored, unauthenticated, limited, …')
    .option('-s, --service <name>', 'only what is about this service')
    .option('--verify', 'check instead that no decision was changed or taken out, and say the first line that does not fit');
  addCommandOptions(audit, context).action(async (options: AuditOptions) => {
    if (!options.verify) return await printAudit(options, context);
    if (!(await printVerified(options, context))) setExitCode(exitCodes.refused);
  });
}

/** @returns whether everything fits */
async function printVerified(options: AuditOptions, context: CliContext): Promise<boolean> {
  const verified = await withOperations(options, context, (operations) => operations.verifyAudit());
  for (const log of verified) context.print(options.json ? JSON.stringify(log) : verifiedLine(log));
  return verified.every(({ problem }) => problem === undefined);
}

function verifiedLine({ file, at, problem, end, plain: withoutKey, torn }: VerifiedAudit): string {
  if (problem !== undefined) return plain(`${at}: ${problem}`);
  const notes = [
    `${end.number} ${end.number === 1 ? 'decision' : 'decisions'}, nothing changed or taken out`,
    ...(end.number > 0 ? [`the last hash is ${end.hash}`] : []),
    ...(withoutKey > 0 ? [`${withoutKey} without a key: whoever can write the file can have made them`] : []),
    ...(torn > 0 ? [`${torn} torn ${torn === 1 ? 'line' : 'lines'} left out`] : []),
  ];
  return plain(`${file}: ${notes.join('; ')}`);
}

async function printAudit(options: AuditOptions, context: CliContext): Promise<void> {
  const { auditQuery, parseInput } = await import('../../operations/inputs.ts');
  let query: AuditQuery;
  try {
    query = parseInput(auditQuery, options);
  } catch (error) {
    // Only the time can be wrong.
    throw error instanceof InvalidInput ? new UsageFailure(`--since: ${error.message}`) : error;
  }
  const { print, warn } = context;
  let shown = 0;
  const take = (entry: AuditLine): void => {
    shown += 1;
    print(options.json ? auditJson(entry) : auditLine(entry));
  };
  const reading = await withOperations(options, context, (operations) => operations.readAudit(query, take));
  const { file, read, skipped, isCut = false } = reading;
  if (isCut)
    warn(`only the newest ${shown} are shown: for earlier ones, run it where ${file} is, or narrow it by --service and so on`);
  if (skipped > 0)
    warn(`${skipped} ${skipped === 1 ? 'line' : 'lines'} of the audit log left out: torn, or no entry of Landfall`);
  if (shown === 0) warn(`no such entries among the ${read} of ${file}`);
}

/** One line for people: when, source, outcome, status, image or repository, service, and what came of it. Files from elsewhere may hold anything. */
function auditLine(entry: AuditLine): string {
  const { timestamp, source, outcome, status, image, repository, service } = entry;
  const cells = [word(timestamp).padEnd(24), word(source).padEnd(12), word(outcome).padEnd(15), word(status).padEnd(8)];
  // Lines of earlier versions have no image.
  const where = image ?? repository ?? (entry.event_type === 'registry_searched' ? entry.registry : null);
  return [...cells, word(where), word(service), plain(whatCame(entry))].join('  ').trimEnd();
}

/** As JSON in one line that steers no terminal; what is escaped means the same. */
function auditJson(entry: AuditLine): string {
  return JSON.stringify(entry).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
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
  if (entry.event_type === 'decision_made' || entry.event_type === 'decision_refused') return whatWasDecided(entry);
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

type Decided = Pick<DecisionEntry, 'action' | 'by' | 'reason' | 'stage' | 'step' | 'tag' | 'digest' | 'started'> &
  Pick<RefusalEntry, 'workflow' | 'omitted'>;

/** Or what somebody wanted to decide. */
function whatWasDecided(entry: Decided): string {
  const { action, by, reason, stage, step, tag, digest, workflow, started, omitted } = entry;
  const at = [stage, step === action ? undefined : step, tag].map(textOf).filter((part) => part !== '');
  const what = [textOf(action), ...at, `by ${textOf(by)}`].join(' ');
  const more = omitted === undefined ? '' : `and ${textOf(omitted)} more like it`;
  const on = [textOf(workflow), textOf(started) && `starts ${textOf(started)}`, textOf(digest), more].filter(
    (part) => part !== '',
  );
  return `${what}${textOf(reason) && `: ${textOf(reason)}`}${on.length > 0 ? ` (${on.join(', ')})` : ''}`;
}
