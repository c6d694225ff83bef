import { pino } from 'pino';
import type { Audit } from '../../src/domain/audit.ts';
import type { Environment } from '../../src/domain/environment.ts';
import type { Logging } from '../../src/process/logging.ts';
import { createSecretResolver } from '../../src/settings/secrets.ts';

/** Logging that nobody reads. */
export function silentLogging(audit: Audit = () => undefined, env: Environment = {}): Logging {
  return { log: pino({ level: 'silent' }), audit, secrets: createSecretResolver(env, '/'), close: async () => undefined };
}
