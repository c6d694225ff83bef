import { existsSync } from 'node:fs';
import { access, constants, mkdir, writeFile } from 'node:fs/promises';
import type { Configuration } from '../config/configuration.ts';
import { hostsToServe } from '../config/deploy.ts';
import { dropInOf, type Kinds } from '../config/kinds.ts';
import { loadConfiguration } from '../config/load.ts';
import { type Role, roles } from '../config/roles.ts';
import { starterConfiguration } from '../config/starter.ts';
import type { Environment } from '../domain/environment.ts';
import { messageOf } from '../domain/errors.ts';
import { useProxies } from '../platform/http/client.ts';
import { formatProblem } from '../settings/problem.ts';
import type { DropIn } from '../sources/kit/source.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { type Ingress, startIngress } from './ingress.ts';
import { openLogging } from './logging.ts';
import { watchPauses } from './pauses.ts';
import { beginSchedules, ensureSchedules } from './schedules.ts';
import { reachTemporal, type Temporal } from './temporal.ts';
import { reportUncaught } from './uncaught.ts';
import { installRuntime, type ServedQueues, startWorkers } from './workers.ts';

export interface LandfallService {
  /** What a person who started it wants to know. */
  readonly greeting: string;
  /** Rejects when a part of it cannot go on. */
  readonly running: Promise<void>;
  /** In order: no more requests, no more work, no more connections, and Temporal last. */
  stop(): Promise<void>;
}

/** Thrown for what the person who started it has to mend. */
export class CannotStart extends Error {}

/** @throws CannotStart */
export async function startService(file: string, env: Environment, kinds: Kinds): Promise<LandfallService> {
  const isThere = existsSync(file);
  const dropIn = isThere ? undefined : dropInOf(kinds, env);
  const isNew = !isThere && dropIn === undefined;
  if (isNew) await writeFile(file, starterConfiguration(kinds), { flag: 'wx' });
  const wanted = rolesOf(env);
  const configuration = load(file, env, kinds, wanted, dropIn?.text);
  const serving = servingOf(configuration, wanted, env);
  if (configuration.temporal.kind === 'embedded' && !wanted.includes('api') && !wanted.includes('worker')) {
    throw new CannotStart(
      'LANDFALL_ROLES: expected api or worker beside deploy, or the Temporal of those that are (temporal.address, TEMPORAL_ADDRESS), found ' +
        'neither: a server of its own would never be asked to deploy anything',
    );
  }
  await makeFolders(configuration, wanted);
  routeRequests(env);
  const metrics = createMetrics();
  const logging = openLogging(configuration, env, { alsoTell: metrics.found, own: wanted });
  const { log } = logging;
  reportUncaught(log);
  const pauses = watchPauses(log);
  if (serving !== undefined) installRuntime(log);
  const stops: (() => Promise<void>)[] = [async () => pauses.stop(), logging.close];
  const stop = (): Promise<void> => stopAll(stops.splice(0));
  try {
    const temporal = await reachTemporal(configuration, logging, env);
    stops.push(temporal.stop);
    // The ports before the work: a second start by mistake must not take steps and drop them.
    const ingress = await startIngress(configuration, temporal, logging, metrics, kinds, {
      takesWebhooks: wanted.includes('api'),
    });
    stops.unshift(ingress.stop);
    const workers = serving && (await startWorkers(configuration, temporal, env, logging, kinds, serving, [pauses.interceptor]));
    if (workers !== undefined) stops.splice(1, 0, workers.stop);
    if (serving?.steps) stops.unshift(await beginSchedules(() => ensureSchedules(temporal.client, configuration, log), log));
    pauses.start();
    return {
      greeting: greet({
        file,
        isNew,
        dropIn,
        configuration,
        temporal,
        ingress,
        hosts: serving?.hosts ?? [],
      }),
      running: workers?.running ?? never(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @throws CannotStart if a proxy of the environment has no address */
function routeRequests(env: Environment): void {
  try {
    useProxies(env);
  } catch (cause) {
    throw new CannotStart(messageOf(cause), { cause });
  }
}

/** @throws CannotStart if one of them cannot be made or written to */
async function makeFolders({ data, artifacts, temporal }: Configuration, wanted: readonly Role[]): Promise<void> {
  const works = wanted.includes('worker') || wanted.includes('deploy');
  // Reports come from scans, and a process that only deploys makes none.
  const folders = {
    ...((works || temporal.kind === 'embedded') && { data }),
    ...(wanted.includes('worker') && { artifacts }),
  };
  for (const [key, folder] of Object.entries(folders)) {
    try {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK);
    } catch (error) {
      throw new CannotStart(`${key}: expected a folder that can be written to, found ${folder}`, { cause: error });
    }
  }
}

/** In this order: requests, work, Temporal. One that fails does not keep the next from being stopped. */
async function stopAll(stops: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const stop of stops) await stop().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, 'not everything could be stopped in order');
}

/** @param text in place of the file */
function load(file: string, env: Environment, kinds: Kinds, secretsFor: readonly Role[], text?: string): Configuration {
  const loaded = loadConfiguration(file, env, kinds, { text, secretsFor });
  if ('problems' in loaded) throw new CannotStart(loaded.problems.map(formatProblem).join('\n'));
  return loaded.configuration;
}

function rolesOf({ LANDFALL_ROLES }: Environment): Role[] {
  if (!LANDFALL_ROLES) return [...roles];
  return LANDFALL_ROLES.split(',').map((name) => {
    const role = roles.find((known) => known === name.trim());
    if (role === undefined) throw new CannotStart(`LANDFALL_ROLES: expected a list of ${roles.join(', ')}, found '${name}'`);
    return role;
  });
}

/** Undefined if this process serves no task queue. */
function servingOf(configuration: Configuration, wanted: readonly Role[], env: Environment): ServedQueues | undefined {
  const served = wanted.includes('deploy') ? hostsToServe(configuration, env) : { hosts: [] };
  if ('problem' in served) throw new CannotStart(served.problem);
  const steps = wanted.includes('worker');
  return steps || served.hosts.length > 0 ? { steps, hosts: served.hosts } : undefined;
}

function never(): Promise<void> {
  return new Promise(() => undefined);
}

interface StartedParts {
  readonly file: string;
  readonly isNew: boolean;
  /** In place of a file. */
  readonly dropIn: DropIn | undefined;
  readonly configuration: Configuration;
  readonly temporal: Temporal;
  readonly ingress: Ingress;
  /** Whose deploys are done here. */
  readonly hosts: readonly string[];
}

function greet(started: StartedParts): string {
  const { configuration, temporal, ingress, hosts } = started;
  const lines = [whatIsServed(started)];
  if (ingress.webhooks !== undefined) {
    const { url, paths } = ingress.webhooks;
    lines.push(
      `  webhooks   ${configuration.publicUrl ?? url} (${paths.length === 0 ? 'no receiver is configured' : paths.join(', ')})`,
    );
  }
  // Two processes that take the deploys of one host by mistake are found here first.
  if (hosts.length > 0) lines.push(`  deploys    of ${hosts.map((host) => `on: ${host}`).join(', ')}`);
  lines.push(
    `  operators  http://${ingress.operators} (/readyz, /metrics)`,
    `  Temporal   ${temporal.address}, namespace ${temporal.namespace}${temporal.uiUrl ? `, page ${temporal.uiUrl}` : ''}`,
  );
  lines.push(...whatNext(started));
  return lines.join('\n');
}

function whatIsServed({ file, dropIn, configuration: { services } }: StartedParts): string {
  if (dropIn !== undefined) return `Landfall serves ${dropIn.serves}.`;
  return `Landfall serves ${services.length} ${services.length === 1 ? 'service' : 'services'} of ${file}.`;
}

function whatNext({ file, isNew, dropIn, configuration: { services } }: StartedParts): string[] {
  if (dropIn !== undefined)
    return [`So it is because there is ${dropIn.because}, and no ${file}: with one, that says what is done.`];
  if (services.length > 0) return ['See what it does with `npx landfall list`.'];
  return [
    isNew ? `${file} is new, written just now, with what each section is for.` : `${file} has no services yet.`,
    'Next: add a service and a receiver to it, look it over with `npx landfall config check`, and start again.',
  ];
}

/**
 * An error as somebody who has to mend it reads it: what failed, and because of what, one line each. A fault of our own (a TypeError, say)
 * keeps its stack, for debugging.
 */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isOurs = error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
  const own = isOurs ? (error.stack ?? error.message) : error.message;
  const causes = error instanceof AggregateError ? error.errors : error.cause === undefined ? [] : [error.cause];
  return [own, ...causes.map((cause) => `  because: ${explain(cause)}`)].join('\n');
}
