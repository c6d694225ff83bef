import { stat } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Configuration } from '../config/configuration.ts';
import { hostsToServe } from '../config/hosts.ts';
import { loadConfiguration } from '../config/load.ts';
import type { Role } from '../config/roles.ts';
import type { Environment } from '../domain/environment.ts';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';
import { formatProblem } from '../settings/problem.ts';

/** An editor writes in one go, or in several within a moment: a file counts once it stays as it is from one look to the next. */
const lookEveryMs = 1_000;

/** The configuration as it was read last. Whoever asks for it each time serves what the file says now. */
export interface CurrentConfiguration {
  configuration: Configuration;
}

export interface ReloadOptions {
  readonly current: CurrentConfiguration;
  readonly env: Environment;
  /** The parts of Landfall that this process is. */
  readonly own: readonly Role[];
  /** Takes a good one. @throws where it cannot be served after all; then the one before goes on */
  readonly apply: (configuration: Configuration) => Promise<void>;
  /** Is told of each attempt. */
  readonly told: (isAccepted: boolean) => void;
  readonly log: Pick<Log, 'info' | 'error'>;
  readonly everyMs?: number;
}

/** Reads the file again when it has changed, and on SIGHUP. @returns ends that, once an attempt that is under way is over */
export function reloadOnChange(options: ReloadOptions): () => Promise<void> {
  const { file } = options.current.configuration;
  let underWay = Promise.resolve();
  let known: string | undefined;
  let last: string | undefined;
  const again = (): void => {
    underWay = underWay.then(() => reload(options));
  };
  const look = async (): Promise<void> => {
    const now = await identityOf(file);
    if (now !== known && now === last) {
      // Between the start, which has read it, and the first look may be a minute.
      const isOther = known !== undefined || isOtherThan(options);
      known = now;
      if (isOther) again();
    }
    last = now;
  };
  const timer = setInterval(() => void look(), options.everyMs ?? lookEveryMs).unref();
  void look();
  process.on('SIGHUP', again);
  return async () => {
    clearInterval(timer);
    process.off('SIGHUP', again);
    await underWay;
  };
}

/** Another text whenever the file was written or replaced, also through a link as Kubernetes makes it. */
async function identityOf(file: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    return [ino, size, mtimeNs].join(' ');
  } catch {
    return 'it cannot be read';
  }
}

/** As a full disk leaves it, or whoever has only begun to write it: it would be right, and every service gone. */
async function isEmpty(file: string): Promise<boolean> {
  return await stat(file).then(
    ({ size }) => size === 0,
    () => false,
  );
}

/** Whether the file says something else than what is served. */
function isOtherThan({ current: { configuration }, env, own }: ReloadOptions): boolean {
  const loaded = loadConfiguration(configuration.file, env, configuration.kinds, { secretsFor: own });
  return 'problems' in loaded || !isDeepStrictEqual(loaded.configuration, configuration);
}

async function reload({ current, env, own, apply, told, log }: ReloadOptions): Promise<void> {
  const { configuration: before } = current;
  const { file, kinds } = before;
  const refuse = (problems: readonly string[]): void => {
    told(false);
    log.error({ file, problems }, 'the configuration was read again and is refused: the one before goes on');
  };
  if (await isEmpty(file)) return refuse([`${file} is empty: write it again, or stop Landfall if it is to serve nothing`]);
  const loaded = loadConfiguration(file, env, kinds, { secretsFor: own });
  if ('problems' in loaded) return refuse(loaded.problems.map(formatProblem));
  const { configuration } = loaded;
  try {
    await apply(configuration);
  } catch (error) {
    return refuse([messageOf(error)]);
  }
  told(true);
  const afterRestart = needsRestart(before, configuration, env);
  log.info(
    { file, ...differences(before, configuration), ...(afterRestart.length > 0 && { afterRestart }) },
    afterRestart.length === 0
      ? 'the configuration was read again and serves what begins from now on'
      : `the configuration was read again and serves what begins from now on, except for ${afterRestart.join(', ')}: restart Landfall for that`,
  );
}

const ofTheProcess = [
  'listen',
  'publicUrl',
  'temporal',
  'data',
  'artifacts',
  'forge',
  'sections',
  'docker',
  'limits',
  'audit',
  'log',
] as const;

/** What a process has built at its start, and keeps. */
export function needsRestart(before: Configuration, now: Configuration, env: Environment): string[] {
  const changed = ofTheProcess.filter((key) => !isDeepStrictEqual(before[key], now[key]));
  const sections = changed.includes('sections') ? otherKeys(before.sections, now.sections) : [];
  const asking = ({ kinds, receivers }: Configuration) =>
    kinds.sources.flatMap(({ name, clientCertificateAt }) => {
      const settings = receivers[name];
      return settings !== undefined && clientCertificateAt?.(settings) !== undefined ? [settings] : [];
    });
  const hosts = [before, now].map((configuration) => hostsToServe(configuration, env));
  return [
    ...changed.filter((key) => key !== 'sections'),
    ...sections,
    ...(isDeepStrictEqual(asking(before), asking(now)) ? [] : ['client certificates of receivers']),
    ...(isDeepStrictEqual(hosts[0], hosts[1]) ? [] : ['hosts to deploy on']),
  ];
}

function otherKeys(before: Configuration['sections'], now: Configuration['sections']): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].filter((key) => !isDeepStrictEqual(before[key], now[key]));
}

/** By name: services and receivers that are new, gone or different. */
function differences(before: Configuration, now: Configuration) {
  const services = otherKeys(byName(before), byName(now));
  const receivers = otherKeys(before.receivers, now.receivers);
  const others = (['notify', 'operators', 'login'] as const).filter((key) => !isDeepStrictEqual(before[key], now[key]));
  const changed = Object.fromEntries(others.map((key) => [key, 'changed']));
  return { ...(services.length > 0 && { services }), ...(receivers.length > 0 && { receivers }), ...changed };
}

function byName({ services }: Configuration): Readonly<Record<string, unknown>> {
  return Object.fromEntries(services.map((service) => [service.name, service]));
}
