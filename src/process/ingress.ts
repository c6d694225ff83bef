import type { Logger } from 'pino';
import { createAcceptPushes } from '../api/accept-pushes.ts';
import { createOperatorApp, createWebhookApp } from '../api/app.ts';
import { createAudit } from '../api/audit.ts';
import { createForwardProgress } from '../api/forward-progress.ts';
import { createListeners } from '../api/listeners.ts';
import { createMetrics } from '../api/metrics.ts';
import { createReachTemporal } from '../api/reach-temporal.ts';
import { createReceivers, type ReceiverSettings } from '../api/receivers/index.ts';
import type { Configuration } from '../config/configuration.ts';
import { isDeploymentRepository } from '../config/deployment-repositories.ts';
import type { Environment } from '../config/environment.ts';
import { plansFor, plansOfRepository } from '../config/plans.ts';
import { createSecretResolver, presentSecrets } from '../config/secrets.ts';
import { missingAttributes, type Temporal } from './temporal.ts';

export interface Ingress {
  /** `HOST:PORT`, and the paths that webhooks can be sent to; absent where this process takes none. */
  readonly webhooks?: { readonly address: string; readonly paths: readonly string[] };
  /** `HOST:PORT` */
  readonly operators: string;
  stop(): Promise<void>;
}

/** The listeners: webhooks, for the world, and operators, for those who run this; a process that only works has just the second. */
export async function startIngress(
  configuration: Configuration,
  temporal: Temporal,
  env: Environment,
  log: Logger,
  { takesWebhooks }: { readonly takesWebhooks: boolean },
): Promise<Ingress> {
  const { listen } = configuration;
  const metrics = createMetrics();
  const receivers = takesWebhooks ? createReceivers(receiverSettings(configuration, env)) : [];
  const webhooks = createWebhookApp({
    receivers,
    acceptPushes: createAcceptPushes({
      client: temporal.client,
      plansFor: (repository, tag) => plansFor(configuration, repository, tag),
      plansOfRepository: (repository) => plansOfRepository(configuration, repository),
      isNamespaceReady: async () => (await missingAttributes(temporal)).length === 0,
      log,
    }),
    forwardProgress: createForwardProgress({
      client: temporal.client,
      isDeploymentRepository: (repository) => isDeploymentRepository(configuration, repository),
      log,
    }),
    audit: createAudit(process.stdout),
    metrics,
    log,
    now: () => new Date(),
  });
  const operators = createOperatorApp({ metrics, log, reachTemporal: createReachTemporal(temporal.client) });
  const forWebhooks = { name: 'listen.webhooks', handler: webhooks.callback(), ...listen.webhooks };
  const forOperators = { name: 'listen.operators', handler: operators.callback(), ...listen.operators };
  const listeners = createListeners([...(takesWebhooks ? [forWebhooks] : []), forOperators], log);
  const ports = (await listeners.start()).map(({ port }) => port);
  const address = ({ host }: { readonly host: string }, port: number | undefined) => `${host}:${port}`;
  return {
    ...(takesWebhooks && { webhooks: { address: address(listen.webhooks, ports[0]), paths: receivers.map(({ path }) => path) } }),
    operators: address(listen.operators, ports.at(-1)),
    stop: () => listeners.stop(),
  };
}

/** Secrets are read at each request, so that one whose file was changed holds at once. */
function receiverSettings({ receivers, directory }: Configuration, env: Environment): ReceiverSettings {
  const secrets = createSecretResolver(env, directory);
  const { github, distribution } = receivers;
  return {
    ...(github !== undefined && { github: { secrets: () => presentSecrets(secrets, github.secrets) } }),
    ...(distribution !== undefined && { distribution: { tokens: () => [secrets(distribution.token)] } }),
  };
}
