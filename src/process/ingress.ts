import type { Logger } from 'pino';
import { createAcceptPushes } from '../api/accept-pushes.ts';
import { createOperatorApp, createWebhookApp } from '../api/app.ts';
import { createAudit } from '../api/audit.ts';
import { createListeners } from '../api/listeners.ts';
import { createMetrics } from '../api/metrics.ts';
import { createReachTemporal } from '../api/reach-temporal.ts';
import { createReceivers } from '../api/receivers/index.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Environment } from '../config/environment.ts';
import { plansFor, plansOfRepository } from '../config/plans.ts';
import { createSecretResolver, presentSecrets } from '../config/secrets.ts';
import type { Temporal } from './temporal.ts';

export interface Ingress {
  /** `HOST:PORT` of each listener. */
  readonly webhooks: string;
  readonly operators: string;
  /** Paths that webhooks can be sent to. */
  readonly paths: readonly string[];
  stop(): Promise<void>;
}

/** The two listeners: webhooks, for the world, and operators, for those who run this. */
export async function startIngress(
  configuration: Configuration,
  temporal: Temporal,
  env: Environment,
  log: Logger,
): Promise<Ingress> {
  const secrets = createSecretResolver(env, configuration.directory);
  const { github, distribution } = configuration.receivers;
  const receivers = createReceivers({
    ...(github !== undefined && { github: { secrets: presentSecrets(secrets, github.secrets) } }),
    ...(distribution !== undefined && { distribution: { tokens: [secrets(distribution.token)] } }),
  });
  const metrics = createMetrics();
  const acceptPushes = createAcceptPushes({
    client: temporal.client,
    plansFor: (repository, tag) => plansFor(configuration, repository, tag),
    plansOfRepository: (repository) => plansOfRepository(configuration, repository),
    log,
  });
  const webhooks = createWebhookApp({
    receivers,
    acceptPushes,
    audit: createAudit(process.stdout),
    metrics,
    log,
    now: () => new Date(),
  });
  const operators = createOperatorApp({ metrics, log, reachTemporal: createReachTemporal(temporal.client) });
  const { listen } = configuration;
  const listeners = createListeners(
    [
      { name: 'listen.webhooks', handler: webhooks.callback(), ...listen.webhooks },
      { name: 'listen.operators', handler: operators.callback(), ...listen.operators },
    ],
    log,
  );
  const [webhooksAt, operatorsAt] = await listeners.start();
  return {
    webhooks: `${listen.webhooks.host}:${webhooksAt?.port ?? listen.webhooks.port}`,
    operators: `${listen.operators.host}:${operatorsAt?.port ?? listen.operators.port}`,
    paths: receivers.map(({ path }) => path),
    stop: () => listeners.stop(),
  };
}
