import { existsSync } from 'node:fs';
import { access, constants, mkdir, writeFile } from 'node:fs/promises';
import type { Logger } from 'pino';
import type { Configuration } from '../config/configuration.ts';
import { hostsToServe } from '../config/hosts.ts';
import { dropInOf, type Kinds } from '../config/kinds.ts';
import { loadConfiguration } from '../config/load.ts';
import { type Role, roles } from '../config/roles.ts';
import { starterConfiguration } from '../config/starter.ts';
import type { Audit } from '../domain/audit.ts';
import type { Environment } from '../domain/environment.ts';
import { makePrivate } from '../platform/files/private-folder.ts';
import { useProxies } from '../platform/http/client.ts';
import { readClusterContext } from '../platform/kubernetes/kubeconfig.ts';
import { ownCommand } from '../settings/own-command.ts';
import { formatProblem } from '../settings/problem.ts';
import { isTracingAskedFor } from '../settings/tracing.ts';
import type { DropIn } from '../sources/kit/source.ts';
import { createMetrics, type Metrics } from '../telemetry/metrics.ts';
import type { Ingress } from './ingress.ts';
import { type Logging, openLogging } from './logging.ts';
import { watchPauses } from './pauses.ts';
import { type CurrentConfiguration, reloadOnChange } from './reload.ts';
import { reachTemporal, type Temporal } from './temporal.ts';
import type { Tracing } from './tracing.ts';
import { reportUncaught } from './uncaught.ts';
import type { ServedQueues } from './workers.ts';

/**
 * @param tellBy is handed the log as soon as there is one
 * @returns `greeting`: what a person who started it wants to know; `running` rejects when a part of it cannot go on
 * @throws with what that person has to mend
 */
export async function startService(
  file: string,
  env: Environment,
  kinds: Kinds,
  tellBy: (log: Logger) => void = () => undefined,
) {
  const isThere = existsSync(file);
  const asked = dropInOf(kinds, env);
  const dropIn = isThere ? undefined : asked;
  const isNew = !isThere && dropIn === undefined;
  if (isNew) await writeFile(file, starterConfiguration(kinds), { flag: 'wx' });
  const wanted = rolesOf(env);
  const loaded = loadConfiguration(file, env, kinds, { text: dropIn?.text, secretsFor: wanted });
  if ('problems' in loaded) throw new Error(loaded.problems.map(formatProblem).join('\n'));
  const { configuration } = loaded;
  if (dropIn?.needsCluster && wanted.includes('worker')) await readClusterContext(env);
  const serving = servingOf(configuration, wanted, env);
  if (configuration.temporal.kind === 'embedded' && !wanted.includes('api') && !wanted.includes('worker')) {
    throw new Error(
      'LANDFALL_ROLES: expected api or worker beside deploy, or the Temporal of those that are (temporal.address, TEMPORAL_ADDRESS), found ' +
        'neither: a server of its own would never be asked to deploy anything',
    );
  }
  const current: CurrentConfiguration = { configuration };
  const warning = await makeFolders(configuration, wanted);
  useProxies(env);
  const metrics = createMetrics();
  const toldOf: Audit[] = [metrics.found];
  const logging = openLogging(configuration, env, {
    alsoTell: (entry) => {
      for (const tell of toldOf) tell(entry);
    },
    ...{ alsoMoved: metrics.moved, auditFailed: metrics.auditFailed, own: wanted },
  });
  const { log } = logging;
  tellBy(log);
  reportUncaught(log);
  if (warning !== undefined) log.warn({ data: configuration.data }, warning);
  const pauses = watchPauses(log);
  const stopCounting = metrics.countRequests();
  const tracing = isTracingAskedFor(env) ? (await import('./tracing.ts')).openTracing(env, logging) : undefined;
  const stops: (() => Promise<void>)[] = [async () => pauses.stop(), async () => stopCounting(), logging.close];
  if (tracing !== undefined) stops.unshift(tracing.close);
  const stop = (): Promise<void> => stopAll(stops.splice(0));
  try {
    const temporal = await reachTemporal(configuration, logging, env, loadWork, tracing && [tracing.client]);
    stops.push(temporal.stop);
    const work = await loadWork();
    const started = await startWork(work, { current, temporal, env, logging, metrics, serving, wanted, pauses, stops, tracing });
    toldOf.push(started.ingress.heard);
    if (isThere)
      stops.unshift(reloadOnChange({ current, env, own: wanted, apply: started.apply, told: metrics.configurationRead, log }));
    pauses.start();
    return {
      greeting: greet({
        file,
        isNew,
        asked,
        dropIn,
        command: ownCommand(env),
        configuration,
        temporal,
        ingress: started.ingress,
        hosts: serving?.hosts ?? [],
      }),
      running: started.running,
      /** Once it serves: see warnOfOutside. */
      async warnOfOutside(): Promise<() => boolean> {
        if (serving === undefined || env.LANDFALL_DOCTOR === 'off') return () => false;
        return (await import('./diagnosis.ts')).warnOfOutside(configuration, env, log);
      },
      log,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface WorkParts {
  readonly current: CurrentConfiguration;
  readonly temporal: Temporal;
  readonly env: Environment;
  readonly logging: Logging;
  readonly metrics: Metrics;
  readonly serving: ServedQueues | undefined;
  readonly wanted: readonly Role[];
  readonly pauses: ReturnType<typeof watchPauses>;
  readonly tracing: Tracing | undefined;
  /** Takes what stops what is started, in its place. */
  readonly stops: (() => Promise<void>)[];
}

/** @returns `apply` serves another configuration from then on */
async function startWork(work: Awaited<ReturnType<typeof loadWork>>, parts: WorkParts) {
  const { current, temporal, env, logging, metrics, serving, wanted, pauses, stops, tracing } = parts;
  const { log } = logging;
  if (serving !== undefined) {
    const ofTemporal = await work.chooseTemporalMetrics();
    work.installRuntime(log, ofTemporal.bindAddress);
    metrics.passOn(ofTemporal.read);
  }
  metrics.showOpen(work.createOpenRollouts(temporal.client));
  expectRollouts(metrics, current.configuration);
  // The ports before the work: a second start by mistake must not take steps and drop them.
  const takesWebhooks = wanted.includes('api');
  const serves = { takesWebhooks, env, tracer: tracing?.tracer };
  const ingress = await work.startIngress(current, temporal, logging, metrics, serves);
  stops.unshift(ingress.stop);
  const watchers = {
    interceptors: [pauses.interceptor, ...(tracing === undefined ? [] : [tracing.activities])],
    spanEnded: tracing?.ended,
  };
  const workers = serving && (await work.startWorkers(current, temporal, env, logging, serving, watchers));
  if (workers !== undefined) {
    stops.splice(1, 0, workers.stop);
    metrics.show(workers.figures);
  }
  const ensure = () => work.ensureSchedules(temporal.client, current.configuration, log);
  const beginSchedules = async () => (serving?.steps ? await work.beginSchedules(ensure, log) : async () => undefined);
  let stopSchedules = await beginSchedules();
  stops.unshift(() => stopSchedules());
  return {
    ingress,
    running: workers?.running ?? new Promise<void>(() => undefined),
    async apply(configuration: Configuration): Promise<void> {
      logging.learn(configuration);
      const takeOver = await ingress.renew(configuration);
      current.configuration = configuration;
      takeOver();
      expectRollouts(metrics, configuration);
      await stopSchedules();
      stopSchedules = await beginSchedules();
    },
  };
}

/** What has not happened yet is 0, so that the first time can be seen. */
function expectRollouts(metrics: Metrics, { services }: Configuration): void {
  for (const { name, image, stages } of services) {
    const ofStages = stages.map((stage) => stage.name);
    if (image.repository !== undefined) metrics.expect(name, ofStages);
  }
}

/** Half of the code, which takes as long to load as a Temporal server of our own takes to start: both at once. */
async function loadWork() {
  const parts = { ...(await import('./ingress.ts')), ...(await import('./workers.ts')), ...(await import('./schedules.ts')) };
  const { createOpenRollouts } = await import('../operations/open-rollouts.ts');
  return { ...parts, createOpenRollouts, ...(await import('./temporal-metrics.ts')) };
}

/** @returns what to do about the data folder, where others can read it @throws if one of them cannot be made or written to */
export async function makeFolders(
  { data, artifacts, temporal }: Configuration,
  wanted: readonly Role[],
): Promise<string | undefined> {
  const works = wanted.includes('worker') || wanted.includes('deploy');
  // Reports come from scans, and a process that only deploys makes none.
  const folders = {
    ...((works || temporal.kind === 'embedded') && { data }),
    ...(wanted.includes('worker') && { artifacts }),
  };
  let warning: string | undefined;
  for (const [key, folder] of Object.entries(folders)) {
    try {
      if (key === 'data') warning = await makePrivate(folder);
      else await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK);
    } catch (error) {
      throw new Error(`${key}: expected a folder that can be written to, found ${folder}`, { cause: error });
    }
  }
  return warning;
}

/** In this order: requests, work, Temporal. One that fails does not keep the next from being stopped. */
export async function stopAll(stops: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const stop of stops) await stop().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, 'not everything could be stopped in order');
}

function rolesOf({ LANDFALL_ROLES }: Environment): Role[] {
  if (!LANDFALL_ROLES) return [...roles];
  return LANDFALL_ROLES.split(',').map((name) => {
    const role = roles.find((known) => known === name.trim());
    if (role === undefined) throw new Error(`LANDFALL_ROLES: expected a list of ${roles.join(', ')}, found '${name}'`);
    return role;
  });
}

/** Undefined if this process serves no task queue. */
function servingOf(configuration: Configuration, wanted: readonly Role[], env: Environment): ServedQueues | undefined {
  const served = wanted.includes('deploy') ? hostsToServe(configuration, env) : { hosts: [] };
  if ('problem' in served) throw new Error(served.problem);
  const steps = wanted.includes('worker');
  return steps || served.hosts.length > 0 ? { steps, hosts: served.hosts } : undefined;
}

interface StartedParts {
  readonly file: string;
  readonly isNew: boolean;
  /** What the environment stands for. */
  readonly asked: DropIn | undefined;
  /** The same, in place of a file. */
  readonly dropIn: DropIn | undefined;
  /** How the command is called here. */
  readonly command: string;
  readonly configuration: Configuration;
  readonly temporal: Temporal;
  readonly ingress: Ingress;
  /** Whose deploys are done here. */
  readonly hosts: readonly string[];
}

function greet({ file, isNew, asked, dropIn, command, configuration, temporal, ingress, hosts }: StartedParts): string {
  const { length } = configuration.services;
  const served = dropIn?.serves ?? `${length} ${length === 1 ? 'service' : 'services'} of ${file}`;
  const lines = [`Landfall serves ${served}.`];
  if (ingress.webhooks !== undefined) {
    const { url, paths } = ingress.webhooks;
    const receivers = paths.length === 0 ? 'no receiver is configured' : paths.join(', ');
    lines.push(`  webhooks   ${configuration.publicUrl ?? url} (${receivers})`);
  }
  // Two processes that take the deploys of one host by mistake are found here first.
  if (hosts.length > 0) lines.push(`  deploys    of ${hosts.map((host) => `on: ${host}`).join(', ')}`);
  lines.push(
    `  operators  http://${ingress.operators} (page, /readyz, /metrics)`,
    `  Temporal   ${temporal.address}, namespace ${temporal.namespace}${temporal.uiUrl ? `, page ${temporal.uiUrl}` : ''}`,
  );
  return [...lines, ...adviceTo({ file, isNew, asked, dropIn, command }, length)].join('\n');
}

/** What whoever started it may want to do next. */
function adviceTo(
  { file, isNew, asked, dropIn, command }: Pick<StartedParts, 'file' | 'isNew' | 'asked' | 'dropIn' | 'command'>,
  services: number,
): string[] {
  if (dropIn !== undefined) {
    const because = `So it is because there is ${dropIn.because}, and no ${file}: with one, that says what is done.`;
    return [because, ...(dropIn.warning === undefined ? [] : [dropIn.warning])];
  }
  const passedOver = asked && `${file} is there, so it says what is done, and not ${asked.because} alone.`;
  const next =
    services > 0
      ? [`See what it does with \`${command} status\`.`]
      : [
          isNew ? `${file} is new, written just now, with what each section is for.` : `${file} has no services yet.`,
          `Next: add a service and a receiver to it, look it over with \`${command} config check\`, and start again.`,
        ];
  return [...(passedOver === undefined ? [] : [passedOver]), ...next];
}
