import { pino } from 'pino';
import type { Audit } from '../../src/domain/audit.ts';
import type { Logging } from '../../src/process/logging.ts';
import { createSecretResolver } from '../../src/settings/secrets.ts';

/** Logging that nobody reads. */
export function silentLogging(audit: Audit = () => undefined): Logging {
  return { log: pino({ level: 'silent' }), audit, secrets: createSecretResolver({}, '/'), close: async () => undefined };
}
