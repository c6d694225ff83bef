import { type AuditLog, createAuditFile } from '../adapters/audit-file.ts';
import { createAuditPost } from '../adapters/audit-post.ts';
import { createAudit, type LineDestination, thinFloods } from '../api/audit.ts';
import type { AuditSettings } from '../config/configuration.ts';
import type { SecretResolver } from '../config/secrets.ts';
import type { Audit } from '../domain/audit.ts';

export interface AuditDependencies {
  readonly settings: AuditSettings;
  readonly secrets: SecretResolver;
  readonly log: AuditLog;
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

/** One per process, for its ingress and its workers: to standard output, to the file, and to whoever collects logs, where one is named. */
export function createProcessAudit({ settings, secrets, log, stdout, mask }: AuditDependencies): ProcessAudit {
  const { endpoint } = settings;
  const writers = [
    createAuditFile({ ...settings, log }),
    ...(endpoint === undefined ? [] : [createAuditPost({ endpoint: () => secrets(endpoint), log })]),
  ];
  const all = {
    write(line: string) {
      const shown = mask(line);
      for (const writer of [stdout, ...writers]) writer.write(shown);
    },
  };
  const { audit, flush } = thinFloods(createAudit(all));
  return {
    audit,
    async close() {
      flush();
      await Promise.all(writers.map((writer) => writer.close()));
    },
  };
}
