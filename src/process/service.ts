import { existsSync } from 'node:fs';
import { access, constants, mkdir, writeFile } from 'node:fs/promises';
import type { Configuration } from '../config/configuration.ts';
import { hostsToServe } from '../config/deploy.ts';
import { dropInOf, type Kinds } from '../config/kinds.ts';
import { loadConfiguration } from '../config/load.ts';
import { type Role, roles } from '../config/roles.ts';
import { starterConfiguration } from '../config/starter.ts';
import type { Environment } from '../domain/environment.ts';
import { makePrivate } from '../platform/files/private-folder.ts';
import { useProxies } from '../platform/http/client.ts';
import { readClusterContext } from '../platform/kubernetes/kubeconfig.ts';
import { formatProblem } from '../settings/problem.ts';
import type { DropIn } from '../sources/kit/source.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import type { Ingress } from './ingress.ts';
import { openLogging } from './logging.ts';
import { watchPauses } from './pauses.ts';
import { reachTemporal, type Temporal } from './temporal.ts';
import { reportUncaught } from './uncaught.ts';
import type { ServedQueues } from './workers.ts';

/**
 * @returns `greeting`: what a person who started it wants to know; `running` rejects when a part of it cannot go on
 * @throws with what that person has to mend
 */
export async function startService(file: string, env: Environment, kinds: Kinds) {
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
  const warning = await makeFolders(configuration, wanted);
  useProxies(env);
  const metrics = createMetrics();
  const logging = openLogging(configuration, env, { alsoTell: metrics.found, own: wanted });
  const { log } = logging;
  reportUncaught(log);
  if (warning !== undefined) log.warn({ data: configuration.data }, warning);
  const pauses = watchPauses(log);
  const stops: (() => Promise<void>)[] = [async () => pauses.stop(), logging.close];
  const stop = (): Promise<void> => stopAll(stops.splice(0));
  try {
    const temporal = await reachTemporal(configuration, logging, env, loadWork);
    stops.push(temporal.stop);
    const { startIngress, installRuntime, startWorkers, beginSchedules, ensureSchedules } = await loadWork();
    if (serving !== undefined) installRuntime(log);
    // The ports before the work: a second start by mistake must not take steps and drop them.
    const takesWebhooks = wanted.includes('api');
    const ingress = await startIngress(configuration, temporal, logging, metrics, { takesWebhooks });
    stops.unshift(ingress.stop);
    const workers = serving && (await startWorkers(configuration, temporal, env, logging, serving, [pauses.interceptor]));
    if (workers !== undefined) stops.splice(1, 0, workers.stop);
    if (serving?.steps) stops.unshift(await beginSchedules(() => ensureSchedules(temporal.client, configuration, log), log));
    pauses.start();
    return {
      greeting: greet({ file, isNew, asked, dropIn, configuration, temporal, ingress, hosts: serving?.hosts ?? [] }),
      running: workers?.running ?? new Promise<void>(() => undefined),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Half of the code, which takes as long to load as a Temporal server of our own takes to start: both at once. */
async function loadWork() {
  return { ...(await import('./ingress.ts')), ...(await import('./workers.ts')), ...(await import('./schedules.ts')) };
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
  readonly configuration: Configuration;
  readonly temporal: Temporal;
  readonly ingress: Ingress;
  /** Whose deploys are done here. */
  readonly hosts: readonly string[];
}

function greet({ file, isNew, asked, dropIn, configuration, temporal, ingress, hosts }: StartedParts): string {
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
    `  operators  http://${ingress.operators} (/readyz, /metrics)`,
    `  Temporal   ${temporal.address}, namespace ${temporal.namespace}${temporal.uiUrl ? `, page ${temporal.uiUrl}` : ''}`,
  );
  return [...lines, ...adviceTo({ file, isNew, asked, dropIn }, length)].join('\n');
}

/** What whoever started it may want to do next. */
function adviceTo(
  { file, isNew, asked, dropIn }: Pick<StartedParts, 'file' | 'isNew' | 'asked' | 'dropIn'>,
  services: number,
): string[] {
  if (dropIn !== undefined) {
    const because = `So it is because there is ${dropIn.because}, and no ${file}: with one, that says what is done.`;
    return [because, ...(dropIn.warning === undefined ? [] : [dropIn.warning])];
  }
  const passedOver = asked && `${file} is there, so it says what is done, and not ${asked.because} alone.`;
  const next =
    services > 0
      ? ['See what it does with `npx landfall list`.']
      : [
          isNew ? `${file} is new, written just now, with what each section is for.` : `${file} has no services yet.`,
          'Next: add a service and a receiver to it, look it over with `npx landfall config check`, and start again.',
        ];
  return [...(passedOver === undefined ? [] : [passedOver]), ...next];
}
