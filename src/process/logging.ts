import { type Logger, pino } from 'pino';
import { auditFileOf } from '../config/audit-files.ts';
import { type Configuration, type Role, roles } from '../config/configuration.ts';
import type { Audit } from '../domain/audit.ts';
import type { Environment } from '../settings/environment.ts';
import { createSecretResolver, parseSecretReference, type SecretResolver } from '../settings/secrets.ts';
import type { LineDestination } from '../telemetry/audit.ts';
import { createMask } from '../telemetry/mask.ts';
import { createProcessAudit } from './audit.ts';
import { logOutgoing } from './debug.ts';

/** Everything that a process writes about itself. No secret of the configuration gets into any of it, whatever code writes. */
export interface Journal {
  readonly log: Logger;
  readonly audit: Audit;
  /** To be used by all of the process: what it reads is masked from then on, as a file may hold another secret than at the start. */
  readonly secrets: SecretResolver;
  /** The last to be closed but for the connection to Temporal. The log can be written to until the end. */
  close(): Promise<void>;
}

export interface JournalOptions {
  /** Where log and audit log go; default: the process's standard output. */
  readonly stdout?: LineDestination;
  /** Is told of every line of the audit log as well. */
  readonly alsoTell?: Audit;
  /** The parts of Landfall that this process is; default: all. */
  readonly own?: readonly Role[];
}

export function openJournal(
  configuration: Configuration,
  env: Environment,
  { stdout = standardOutput(), alsoTell = () => undefined, own = roles }: JournalOptions = {},
): Journal {
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

/** A disk that is full, or a reader that has gone, costs lines of the log and not the process. */
function standardOutput(): LineDestination {
  return pino.destination({ fd: 1, sync: true, maxLength: mostWaiting }).on('error', () => undefined);
}

/** User names and ids are no secrets, and part of what a log has to say: an owner's name is in every repository. */
function openReferences({ registries, forge }: Configuration): ReadonlySet<string> {
  const names = Object.values(registries).map(({ username }) => username);
  return new Set([...names, forge.github?.app?.id].filter((reference) => reference !== undefined));
}

/** All that can be known at the start: a secret may be in a request before it is asked for the first time. */
function learn(configuration: Configuration, env: Environment, secrets: SecretResolver, add: (secret: string) => void): void {
  for (const text of textsIn(configuration)) {
    if (parseSecretReference(text) === undefined) continue;
    try {
      secrets(text);
    } catch {
      // Whoever needs it says that it is missing; this process may not.
    }
  }
  const { endpoint } = configuration.audit;
  if (endpoint !== undefined && parseSecretReference(endpoint) === undefined) add(endpoint);
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && saysSecret.test(name) && !value.startsWith('/')) add(value);
  }
}

/** Also what the programs that we start take from the environment, and what a library reads by itself. */
const saysSecret = /(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY)(?:_OLD|_HASH)?$/i;

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
