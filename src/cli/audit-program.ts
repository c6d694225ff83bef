import type { Command } from 'commander';
import type { AuditOptions } from './audit-command.ts';
import { configOption, jsonOption } from './options.ts';
import type { Surroundings } from './terminal.ts';

export function addAudit(program: Command, surroundings: Surroundings): void {
  program
    .command('audit')
    .description('print the audit log, the oldest first: every request and decision, and what came of it')
    .option('--since <time>', 'not what is older: 30m, 24h, 7d, or a date or time (UTC unless it says otherwise)')
    .option('--source <name>', 'only of this source: github, quay, operator, …')
    .option('--outcome <word>', 'only with this outcome: accepted, ignored, unauthenticated, limited, …')
    .option('-s, --service <name>', 'only what is about this service')
    .addOption(jsonOption())
    .addOption(configOption(surroundings))
    .action(async (options: AuditOptions) => (await import('./audit-command.ts')).printAudit(options, surroundings));
}
