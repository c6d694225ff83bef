import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { pino } from 'pino';
import type { Configuration } from '../config/configuration.ts';
import type { Environment } from '../config/environment.ts';
import { loadConfiguration } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { starterConfiguration } from '../config/starter.ts';
import { startIngress } from './ingress.ts';
import { reachTemporal, type Temporal } from './temporal.ts';
import { installRuntime, startWorkers } from './workers.ts';

export interface Service {
  /** What a person who started it wants to know. */
  readonly greeting: string;
  /** Rejects when a part of it cannot go on. */
  readonly running: Promise<void>;
  /** In order: no more requests, no more work, no more connections, and Temporal last. */
  stop(): Promise<void>;
}

/** Thrown for what the person who started it has to mend; the message is all there is to say. */
export class CannotStart extends Error {}

const roles = ['api', 'worker'] as const;
type Role = (typeof roles)[number];

/** @throws CannotStart */
export async function startService(file: string, env: Environment): Promise<Service> {
  const isNew = !existsSync(file);
  if (isNew) await writeFile(file, starterConfiguration(), { flag: 'wx' });
  const configuration = load(file, env);
  const wanted = rolesOf(env);
  const log = pino({ level: configuration.log.level });
  if (wanted.includes('worker')) installRuntime(log);

  const stops: (() => Promise<void>)[] = [];
  const stop = (): Promise<void> => stopAll(stops.splice(0).reverse());
  try {
    const temporal = await reachTemporal(configuration, env, log);
    stops.push(temporal.stop);
    const workers = wanted.includes('worker') ? await startWorkers(configuration, temporal, env, log) : undefined;
    if (workers !== undefined) stops.push(workers.stop);
    const ingress = wanted.includes('api') ? await startIngress(configuration, temporal, env, log) : undefined;
    if (ingress !== undefined) stops.push(ingress.stop);
    return { greeting: greet({ file, isNew, configuration, temporal, ingress }), running: workers?.running ?? never(), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** One after the other; one that fails does not keep the next from being stopped. */
async function stopAll(stops: readonly (() => Promise<void>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const stop of stops) await stop().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw new AggregateError(errors, 'not everything could be stopped in order');
}

function load(file: string, env: Environment): Configuration {
  const loaded = loadConfiguration(file, env);
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

function never(): Promise<void> {
  return new Promise(() => undefined);
}

interface Started {
  readonly file: string;
  readonly isNew: boolean;
  readonly configuration: Configuration;
  readonly temporal: Temporal;
  readonly ingress: { webhooks: string; operators: string; paths: readonly string[] } | undefined;
}

function greet({ file, isNew, configuration, temporal, ingress }: Started): string {
  const { services } = configuration;
  const lines = [`Landfall serves ${services.length} ${services.length === 1 ? 'service' : 'services'} of ${file}.`];
  if (ingress !== undefined) {
    const paths = ingress.paths.length === 0 ? 'no receiver is configured' : ingress.paths.join(', ');
    lines.push(
      `  webhooks   http://${ingress.webhooks} (${paths})`,
      `  operators  http://${ingress.operators} (/readyz, /metrics)`,
    );
  }
  lines.push(
    `  Temporal   ${temporal.address}, namespace ${temporal.namespace}${temporal.uiUrl ? `, page ${temporal.uiUrl}` : ''}`,
  );
  if (isNew || services.length === 0) {
    lines.push(
      isNew ? `${file} is new, written just now with every setting explained.` : `${file} has no services yet.`,
      'Next: add a service and a receiver to it, look it over with `npx landfall config check`, and start again.',
    );
  } else {
    lines.push('See what it does with `npx landfall list`.');
  }
  return lines.join('\n');
}
