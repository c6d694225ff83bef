import { type Logger, pino } from 'pino';
import type { Configuration } from '../config/configuration.ts';
import { auditFileOf, type Role, roles } from '../config/roles.ts';
import type { Audit } from '../domain/audit.ts';
import type { Environment } from '../domain/environment.ts';
import { gitHubSettings } from '../settings/github.ts';
import { createSecretResolver, parseSecretReference, type SecretResolver } from '../settings/secrets.ts';
import type { LineDestination } from '../telemetry/audit.ts';
import { createMask } from '../telemetry/mask.ts';
import { createProcessAudit } from './audit.ts';
import { logOutgoing } from './debug.ts';

/** Log and audit log of a process. Secrets of the configuration are masked in both. */
export interface Logging {
  readonly log: Logger;
  readonly audit: Audit;
  /** All of the process reads secrets with this: what it reads is masked from then on, because a file may change after the start. */
  readonly secrets: SecretResolver;
  /** Close this after everything else except the Temporal connection. */
  close(): Promise<void>;
}

export interface LoggingOptions {
  /** Where log and audit log go; default: the process's standard output. */
  readonly stdout?: LineDestination;
  /** Is told of every line of the audit log as well. */
  readonly alsoTell?: Audit;
  /** The parts of Landfall that this process is; default: all. */
  readonly own?: readonly Role[];
}

export function openLogging(
  configuration: Configuration,
  env: Environment,
  { stdout = standardOutput(), alsoTell = () => undefined, own = roles }: LoggingOptions = {},
): Logging {
  const mask = createMask();
  const open = openReferences(configuration);
  const secrets = createSecretResolver(env, configuration.directory, (secret, reference) => {
    if (!open.has(reference)) mask.add(secret);
  });
  learn(configuration, env, secrets, mask.add);
  const log = pino({ level: configuration.log.level }, { write: (line: string) => void stdout.write(mask(line)) });
  const settings = { ...configuration.audit, file: auditFileOf(configuration.audit.file, own) };
  const { audit, close } = createProcessAudit({ settings, secrets, log, stdout, mask });
  const stopLogging = log.isLevelEnabled('debug') ? logOutgoing(log) : () => undefined;
  return {
    log,
    audit: (entry) => {
      audit(entry);
      alsoTell(entry);
    },
    secrets,
    async close() {
      await close();
      stopLogging();
    },
  };
}

/** Bytes that wait for a standard output which takes nothing; lines beyond that are lost. */
const mostWaiting = 4 * 1024 ** 2;

/** A full disk, or a reader that is gone, loses log lines but does not stop the process. */
function standardOutput(): LineDestination {
  return pino.destination({ fd: 1, sync: true, maxLength: mostWaiting }).on('error', () => undefined);
}

/** User names and ids are no secrets, and part of what a log has to say: an owner's name is in every repository. */
function openReferences({ registries, forge }: Configuration): ReadonlySet<string> {
  const names = Object.values(registries).map(({ username }) => username);
  return new Set([...names, gitHubSettings(forge)?.app?.id].filter((reference) => reference !== undefined));
}

/** Masks all secrets that are known at the start: one may be in a request before it is read for the first time. */
function learn(configuration: Configuration, env: Environment, secrets: SecretResolver, add: (secret: string) => void): void {
  for (const text of textsIn(configuration)) {
    if (parseSecretReference(text) === undefined) continue;
    try {
      secrets(text);
    } catch {
      // A missing secret is reported by the part that needs it; this process may not need it.
    }
  }
  const { endpoint } = configuration.audit;
  if (endpoint !== undefined && parseSecretReference(endpoint) === undefined) add(endpoint);
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && saysSecret.test(name) && !value.startsWith('/')) add(value);
  }
}

/** Also variables that the programs that we start, or libraries, read from the environment themselves. */
const saysSecret = /(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY)(?:_OLD|_HASH)?$/i;

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
