import { pino } from 'pino';
import type { Audit } from '../../src/domain/audit.ts';
import type { Logging } from '../../src/process/logging.ts';
import { createSecretResolver } from '../../src/settings/secrets.ts';

/** A journal that nobody reads. */
export function silentJournal(audit: Audit = () => undefined): Logging {
  return { log: pino({ level: 'silent' }), audit, secrets: createSecretResolver({}, '/'), close: async () => undefined };
}
