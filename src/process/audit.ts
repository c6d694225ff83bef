import type { AuditSettings } from '../config/configuration.ts';
import type { Audit } from '../domain/audit.ts';
import type { Log } from '../domain/log.ts';
import type { SecretResolver } from '../settings/secrets.ts';
import { createAudit, type LineDestination, thinFloods } from '../telemetry/audit.ts';
import { createAuditFile } from '../telemetry/audit-file.ts';
import { createAuditPost } from '../telemetry/audit-post.ts';

export interface AuditDependencies {
  readonly settings: AuditSettings;
  readonly secrets: SecretResolver;
  readonly log: Pick<Log, 'info' | 'warn'>;
  readonly stdout: LineDestination;
  /** A sender's words are in the log, and may be a secret in the wrong place. */
  readonly mask: (text: string) => string;
}

/** The audit log of a process. */
export interface ProcessAudit {
  readonly audit: Audit;
  /** Takes no more, and writes what is waiting within a bounded time. */
  close(): Promise<void>;
}

/** One per process, for its ingress and its workers: to standard output, to the file, and to the log collector, if one is configured. */
export function createProcessAudit({ settings, secrets, log, stdout, mask }: AuditDependencies): ProcessAudit {
  const { endpoint } = settings;
  const writers = [
    createAuditFile({ ...settings, log }),
    ...(endpoint === undefined ? [] : [createAuditPost({ endpoint: () => secrets(endpoint), log })]),
  ];
  const all = together((lines) => {
    const shown = mask(lines);
    stdout.write(shown);
    for (const line of shown.split(/(?<=\n)/)) for (const writer of writers) writer.write(line);
  });
  const { audit, flush } = thinFloods(createAudit(all));
  return {
    audit,
    async close() {
      flush();
      all.close();
      await Promise.all(writers.map((writer) => writer.close()));
    },
  };
}

/** Hands on what is written in one turn of the event loop at its end, or when the process exits: a write to standard output is dear. */
function together(put: (lines: string) => void): LineDestination & { close(): void } {
  let lines = '';
  let turn: NodeJS.Immediate | undefined;
  const flush = (): void => {
    const waiting = lines;
    [lines, turn] = ['', undefined];
    if (waiting !== '') put(waiting);
  };
  // Before the file's own handler, which writes what it was given.
  process.prependListener('exit', flush);
  return {
    write(line) {
      lines += line;
      turn ??= setImmediate(flush);
    },
    close() {
      process.off('exit', flush);
      clearImmediate(turn);
      flush();
    },
  };
}
