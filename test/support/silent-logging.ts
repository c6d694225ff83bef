import { pino } from 'pino';
import type { Audit } from '../../src/domain/audit.ts';
import type { Environment } from '../../src/domain/environment.ts';
import type { Logging } from '../../src/process/logging.ts';
import { createSecretResolver } from '../../src/settings/secrets.ts';
import { createMask } from '../../src/telemetry/mask.ts';

/** Logging that nobody reads. */
export function silentLogging(audit: Audit = () => undefined, env: Environment = {}): Logging {
  const log = pino({ level: 'silent' });
  const nothing = () => undefined;
  const told = { audit, progress: nothing, learn: nothing, close: async () => undefined };
  return { log, ...told, secrets: createSecretResolver(env, '/'), mask: createMask() };
}
