import { relative } from 'node:path';
import { type Logger, pino, stdTimeFunctions } from 'pino';
import { chainHashes } from '../config/chain-hashes.ts';
import type { AuditSettings, Configuration } from '../config/configuration.ts';
import { auditFileOf, decisionFileOf, type Role, roles } from '../config/roles.ts';
import type { Audit } from '../domain/audit.ts';
import type { ChainHash } from '../domain/decision-chain.ts';
import type { Environment } from '../domain/environment.ts';
import type { Log } from '../domain/log.ts';
import type { ProgressEntry } from '../domain/progress.ts';
import { gitHubSettings } from '../settings/github.ts';
import { createSecretResolver, parseSecretReference, type SecretResolver } from '../settings/secrets.ts';
import { createAudit, type LineDestination, thinFloods } from '../telemetry/audit.ts';
import { type AuditWriter, createAuditFile } from '../telemetry/audit-file.ts';
import { createAuditPost } from '../telemetry/audit-post.ts';
import { createDecisionFile } from '../telemetry/decision-file.ts';
import { createMask, type Mask } from '../telemetry/mask.ts';
import type { AuditSink } from '../telemetry/metrics.ts';
import { logOutgoing } from '../telemetry/outgoing-requests.ts';
import { createProgressLog } from '../telemetry/progress-log.ts';
import { terminalLines } from '../telemetry/terminal-lines.ts';

/** Log and audit log of a process. Secrets of the configuration are masked in both. */
export interface Logging {
  readonly log: Logger;
  readonly audit: Audit;
  /** Is told of each change of a rollout that this process works on. */
  readonly progress: (entry: ProgressEntry) => void;
  /** All of the process reads secrets with this: what it reads is masked from then on, because a file may change after the start. */
  readonly secrets: SecretResolver;
  /** Hides them in any text. */
  readonly mask: Mask;
  /** Secrets of a configuration that was read again are masked from then on. */
  learn(configuration: Configuration): void;
  /** Close this after everything else except the Temporal connection. */
  close(): Promise<void>;
}

export interface LoggingOptions {
  /** Where log and audit log go; default: the process's standard output. */
  readonly stdout?: LineDestination;
  /** Where somebody reads it as it comes: sentences in place of JSON. Default: standard output is a terminal. */
  readonly isTerminal?: boolean;
  /** Is told of every line of the audit log as well, and of each change of a rollout. */
  readonly alsoTell?: Audit;
  readonly alsoMoved?: (entry: ProgressEntry) => void;
  /** Is told whenever lines of the audit log cannot be written or posted: also of what is logged once, as long as it lasts. */
  readonly auditFailed?: (sink: AuditSink) => void;
  /** Whether lines of the audit log go there as well; default: they do. */
  readonly printsAudit?: boolean;
  /** The parts of Landfall that this process is; default: all. */
  readonly own?: readonly Role[];
}

export function openLogging(configuration: Configuration, env: Environment, options: LoggingOptions = {}): Logging {
  const { isTerminal = options.stdout === undefined && process.stdout.isTTY === true, own = roles } = options;
  const stdout = isTerminal ? readable(options.stdout ?? standardOutput()) : (options.stdout ?? standardOutput());
  const mask = createMask();
  // User names and ids are no secrets, and part of what a log has to say: an owner's name is in every repository.
  const open = new Set(openIn(configuration));
  const secrets = createSecretResolver(env, configuration.directory, (secret, reference) => {
    if (!open.has(reference)) mask.add(secret);
  });
  learn(configuration, env, secrets, mask.add);
  const timestamp = stdTimeFunctions.isoTime;
  const log = pino({ level: configuration.log.level, timestamp }, { write: (line: string) => void stdout.write(mask(line)) });
  const logProgress = createProgressLog(log, isTerminal);
  const file = auditFileOf(configuration.audit.file, own);
  // The data folder is nobody else's.
  const settings = { ...configuration.audit, file, ...(isIn(configuration.data, file) && { mode: 0o600 }) };
  const hash = () => chainHashes(configuration, env)[0];
  const { printsAudit = true, auditFailed: failed } = options;
  const { audit, close } = createProcessAudit({ settings, secrets, log, mask, hash, failed, ...(printsAudit && { stdout }) });
  const stopLogging = log.isLevelEnabled('debug') ? logOutgoing(log) : () => undefined;
  return {
    log,
    audit: (entry) => {
      audit(entry);
      options.alsoTell?.(entry);
    },
    progress: (entry) => {
      logProgress(entry);
      options.alsoMoved?.(entry);
    },
    secrets,
    mask,
    learn(again) {
      for (const reference of openIn(again)) open.add(reference);
      learn(again, env, secrets, mask.add);
    },
    async close() {
      await close();
      stopLogging();
    },
  };
}

function openIn({ registries, forge }: Configuration): string[] {
  const references = [...Object.values(registries).map(({ username }) => username), gitHubSettings(forge)?.app?.id];
  return references.filter((reference) => reference !== undefined);
}

function readable(destination: LineDestination): LineDestination {
  return { write: (lines: string) => void destination.write(terminalLines(lines)) };
}

function isIn(folder: string, file: string): boolean {
  return !relative(folder, file).startsWith('..');
}

/** Bytes that wait for a standard output which takes nothing; lines beyond that are lost. */
const mostWaiting = 4 * 1024 ** 2;

/** A full disk, or a reader that is gone, loses log lines but does not stop the process. */
function standardOutput(): LineDestination {
  return pino.destination({ fd: 1, sync: true, maxLength: mostWaiting }).on('error', () => undefined);
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
const saysSecret = /(?:LANDFALL_KEY|TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY)(?:_OLD|_HASH)?$/i;

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

interface AuditDependencies {
  readonly settings: AuditSettings & { readonly mode?: number };
  readonly secrets: SecretResolver;
  readonly log: Pick<Log, 'info' | 'warn'>;
  /** Absent: they are not printed. */
  readonly stdout?: LineDestination;
  /** A sender's words are in the log, and may be a secret in the wrong place. */
  readonly mask: (text: string) => string;
  /** What holds the log of decisions together. */
  readonly hash: () => ChainHash;
  readonly failed?: ((sink: AuditSink) => void) | undefined;
}

/**
 * One per process, for its ingress and its workers: to standard output, to its file, and to the log collector, if one is configured.
 * Decisions have a file of their own. What is written in one turn of the event loop goes out together at its end, or when the process
 * exits: a write to standard output is dear.
 * @returns `close` takes no more, and writes what is waiting within a bounded time
 */
export function createProcessAudit({ settings, secrets, log, stdout, mask, hash, failed }: AuditDependencies) {
  /** What its destinations warn of is that they lose lines, or are about to. */
  const counted = (sink: AuditSink) => {
    const failedAgain = (): void => failed?.(sink);
    const counting: Pick<Log, 'info' | 'warn'> = {
      info: (fields, message) => log.info(fields, message),
      warn: (fields, message) => {
        failed?.(sink);
        log.warn(fields, message);
      },
    };
    return { log: counting, failedAgain };
  };
  const { endpoint, file } = settings;
  let turn: NodeJS.Immediate | undefined;
  const begin = (): void => {
    turn ??= setImmediate(put);
  };
  const requests = collectLines(createAuditFile({ ...settings, ...counted('file') }), begin);
  const decisions = collectLines(
    createDecisionFile({ ...settings, file: decisionFileOf(file), hash, ...counted('decisions') }),
    begin,
  );
  const plainHttp = settings.plainHttp === true;
  const post =
    endpoint === undefined ? [] : [createAuditPost({ endpoint: () => secrets(endpoint), plainHttp, ...counted('endpoint') })];
  const printed = stdout === undefined ? [] : [stdout];
  const put = (): void => {
    turn = undefined;
    for (const { take, writer } of [requests, decisions]) {
      const shown = mask(take());
      if (shown !== '') for (const destination of [...printed, writer, ...post]) destination.write(shown);
    }
  };
  // Before the file's own handler, which writes what it was given.
  process.prependListener('exit', put);
  const { audit, flush } = thinFloods((entry) => (entry.event_type === 'decision_made' ? decisions : requests).audit(entry));
  return {
    audit,
    async close(): Promise<void> {
      flush();
      process.off('exit', put);
      clearImmediate(turn);
      put();
      await Promise.all([requests.writer, decisions.writer, ...post].map((writer) => writer.close()));
    },
  };
}

/** Lines that wait for the end of the turn, for one file. @param begin is told of each that comes */
function collectLines(writer: AuditWriter, begin: () => void) {
  let lines = '';
  const write = (line: string): void => {
    lines += line;
    begin();
  };
  const take = (): string => {
    const taken = lines;
    lines = '';
    return taken;
  };
  return { writer, take, audit: createAudit({ write }) };
}
