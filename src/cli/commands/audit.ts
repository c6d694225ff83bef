import type { Command } from 'commander';
import type { AuditQuery } from '../../operations/index.ts';
import type { CliContext } from '../context.ts';
import { UsageFailure } from '../errors.ts';
import { configOption, jsonOption } from '../options.ts';
import { auditJson, auditLine } from './audit-text.ts';

interface AuditOptions {
  readonly config: string;
  readonly since?: string;
  readonly source?: string;
  readonly outcome?: string;
  readonly service?: string;
  readonly json?: boolean;
}

export function addAudit(program: Command, context: CliContext): void {
  program
    .command('audit')
    .description('print the audit log, the oldest first: every request and decision, and what came of it')
    .option('--since <time>', 'not what is older: 30m, 24h, 7d, or a date or time (UTC unless it says otherwise)')
    .option('--source <name>', 'only of this source: github, quay, operator, …')
    .option('--outcome <word>', 'only with this outcome: accepted, ignored, unauthenticated, limited, …')
    .option('-s, --service <name>', 'only what is about this service')
    .addOption(jsonOption())
    .addOption(configOption(context))
    .action((options: AuditOptions) => printAudit(options, context));
}

async function printAudit(options: AuditOptions, context: CliContext): Promise<void> {
  const { readAudit, readConfiguration } = await import('../../operations/index.ts');
  const query = await queryOf(options);
  const configuration = readConfiguration(options.config, context);
  const { print, warn } = context;
  let shown = 0;
  const { file, read, skipped } = await readAudit(configuration, query, (entry) => {
    shown += 1;
    print(options.json ? auditJson(entry) : auditLine(entry));
  });
  if (skipped > 0)
    warn(`${skipped} ${skipped === 1 ? 'line' : 'lines'} of the audit log left out: torn, or no entry of Landfall`);
  if (shown === 0) warn(`no such entries among the ${read} of ${file}`);
}

/** Only the time can be wrong. */
async function queryOf(options: AuditOptions): Promise<AuditQuery> {
  const { auditQuery, InvalidInput, parseInput } = await import('../../operations/index.ts');
  try {
    return parseInput(auditQuery, options);
  } catch (error) {
    throw error instanceof InvalidInput ? new UsageFailure(`--since: ${error.message}`) : error;
  }
}
