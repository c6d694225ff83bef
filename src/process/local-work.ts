import type { Configuration } from '../config/configuration.ts';
import { servedHere } from '../config/hosts.ts';
import type { Environment } from '../domain/environment.ts';
import { useProxies } from '../platform/http/client.ts';
import { openLogging } from './logging.ts';
import { makeFolders, stopAll } from './service.ts';
import { stopAsked } from './stop-signals.ts';
import { reachTemporal } from './temporal.ts';
import { reportUncaught } from './uncaught.ts';
import { installRuntime, startWorkers } from './workers.ts';

const own = ['worker', 'deploy'] as const;

/**
 * What carries rollouts to their ends without a server: workers, and a Temporal of their own. Nothing listens for webhooks or operators, and
 * nothing is searched.
 * @param configuration read with `localData`
 * @throws with what whoever started it has to mend
 */
export async function startLocalWork(configuration: Configuration, env: Environment) {
  const { asked } = stopAsked();
  await makeFolders(configuration, own);
  useProxies(env);
  // Its caller says what happens to the rollout, also what fails and who asked; the log has what else goes wrong.
  const log = { level: configuration.log.level === 'debug' ? ('debug' as const) : ('error' as const) };
  const logging = openLogging({ ...configuration, log }, env, { stdout: process.stderr, printsAudit: false, own });
  reportUncaught(logging.log);
  const stops: (() => Promise<void>)[] = [logging.close];
  const stop = (): Promise<void> => stopAll(stops.splice(0));
  try {
    const temporal = await reachTemporal(configuration, logging, env);
    stops.push(temporal.stop);
    installRuntime(logging.log);
    const workers = await startWorkers({ configuration }, temporal, env, logging, { steps: true, hosts: servedHere(env) });
    stops.unshift(workers.stop);
    const broken = workers.running.then(() => asked);
    return { client: temporal.client, over: Promise.race([asked, broken]), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
