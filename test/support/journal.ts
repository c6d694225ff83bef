import { pino } from 'pino';
import { createSecretResolver } from '../../src/config/secrets.ts';
import type { Audit } from '../../src/domain/audit.ts';
import type { Journal } from '../../src/process/journal.ts';

/** A journal that nobody reads. */
export function silentJournal(audit: Audit = () => undefined): Journal {
  return { log: pino({ level: 'silent' }), audit, secrets: createSecretResolver({}, '/'), close: async () => undefined };
}
