import { auditFilesOf } from '../config/audit-files.ts';
import { type AuditLine, servicesIn } from '../domain/audit.ts';
import { readAuditLog } from './audit-log.ts';
import { auditJson, auditLine } from './audit-text.ts';
import { readConfiguration } from './configuration.ts';
import { UsageFailure } from './failure.ts';
import type { Surroundings } from './terminal.ts';

export interface AuditOptions {
  readonly config: string;
  readonly since?: string;
  readonly source?: string;
  readonly outcome?: string;
  readonly service?: string;
  readonly json?: boolean;
}

/** `landfall audit` */
export async function printAudit(options: AuditOptions, { env, kinds, print, warn }: Surroundings): Promise<void> {
  const isWanted = filterOf(options, Date.now());
  const { file } = readConfiguration(options.config, { env, kinds }).audit;
  let shown = 0;
  const { read, skipped } = await readAuditLog(auditFilesOf(file), (entry) => {
    if (!isWanted(entry)) return;
    shown += 1;
    print(options.json ? auditJson(entry) : auditLine(entry));
  });
  if (skipped > 0)
    warn(`${skipped} ${skipped === 1 ? 'line' : 'lines'} of the audit log left out: torn, or no entry of Landfall`);
  if (shown === 0) warn(`no such entries among the ${read} of ${file}`);
}

function filterOf({ since, source, outcome, service }: AuditOptions, now: number): (entry: AuditLine) => boolean {
  const from = since === undefined ? Number.NEGATIVE_INFINITY : timeOf(since, now);
  return (entry) => {
    const at = Date.parse(entry.timestamp);
    return (
      // What has no time is rather shown than hidden.
      !(at < from) &&
      (source === undefined || entry.source === source) &&
      (outcome === undefined || entry.outcome === outcome) &&
      (service === undefined || servicesIn(entry).includes(service))
    );
  };
}

const unitMs: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** @throws UsageFailure */
function timeOf(since: string, now: number): number {
  const [, amount, unit = ''] = /^(\d{1,6})([smhdw])$/.exec(since) ?? [];
  if (amount !== undefined) return now - Number(amount) * (unitMs[unit] ?? 0);
  const [, date, time, zone = 'Z'] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?$/i.exec(since) ?? [];
  const at = date === undefined ? Number.NaN : Date.parse(`${date}T${time ?? '00:00'}${zone.toUpperCase()}`);
  if (!Number.isNaN(at)) return at;
  throw new UsageFailure(`--since: expected 30m, 24h, 7d or a time such as 2026-01-31 or 2026-01-31T08:00Z, found '${since}'`);
}
