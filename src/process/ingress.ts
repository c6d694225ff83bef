import {
  createAcceptPushes,
  createForwardProgress,
  createOperatorApp,
  createReachTemporal,
  createSenders,
  createWebhookApp,
} from '../api/index.ts';
import type { Configuration } from '../config/configuration.ts';
import { isDeploymentRepository } from '../config/deployment-repositories.ts';
import type { Kinds } from '../config/kinds.ts';
import { plansFor, plansOfRepository } from '../config/plans.ts';
import { createClientTrust } from '../http/client-trust.ts';
import { createListeners } from '../http/listeners.ts';
import { createReceivers } from '../sources/kit/source.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Journal } from './logging.ts';
import { linkTo, missingAttributes, type Temporal } from './temporal.ts';

export interface Ingress {
  /** `HOST:PORT`, its URL, and the paths that webhooks can be sent to; absent where this process takes none. */
  readonly webhooks?: { readonly address: string; readonly url: string; readonly paths: readonly string[] };
  /** `HOST:PORT` */
  readonly operators: string;
  stop(): Promise<void>;
}

/** The listeners: webhooks, for the world, and operators, for those who run this; a process that only works has just the second. */
export async function startIngress(
  configuration: Configuration,
  temporal: Temporal,
  { log, audit, secrets }: Journal,
  metrics: Metrics,
  { sources }: Kinds,
  { takesWebhooks }: { readonly takesWebhooks: boolean },
): Promise<Ingress> {
  const { listen } = configuration;
  const context = { secrets, directory: configuration.directory, log };
  const receivers = takesWebhooks ? createReceivers(sources, configuration.receivers, context) : [];
  const trust = createClientTrust(receivers, log);
  const webhooks = createWebhookApp({
    receivers,
    acceptPushes: createAcceptPushes({
      client: temporal.client,
      plansFor: (repository, tag) => plansFor(configuration, repository, tag),
      plansOfRepository: (repository) => plansOfRepository(configuration, repository),
      isNamespaceReady: async () => (await missingAttributes(temporal)).length === 0,
      ...(temporal.uiUrl !== undefined && { linkTo: (id: string) => linkTo(temporal, id) }),
      log,
    }),
    forwardProgress: createForwardProgress({
      client: temporal.client,
      isDeploymentRepository: (repository) => isDeploymentRepository(configuration, repository),
      log,
    }),
    audit,
    metrics,
    senders: createSenders({
      trustedProxies: listen.trustedProxies,
      trust,
      // A certificate is public, so only a header that the proxy is known to set is believed.
      certificateHeaders: listen.certificateHeader === undefined ? [] : [listen.certificateHeader],
    }),
    limits: listen.limits,
    log,
    now: () => new Date(),
  });
  const operators = createOperatorApp({ metrics, log, reachTemporal: createReachTemporal(temporal.client) });
  const tls = listen.tls && { files: listen.tls, ...(trust && { trust }) };
  const forWebhooks = { name: 'listen.webhooks', handler: webhooks.callback(), ...listen.webhooks, ...(tls && { tls }) };
  const forOperators = { name: 'listen.operators', handler: operators.callback(), ...listen.operators };
  const listeners = createListeners([...(takesWebhooks ? [forWebhooks] : []), forOperators], log);
  const ports = (await listeners.start()).map(({ port }) => port);
  const addressOf = ({ host }: { readonly host: string }, port: number | undefined) => `${host}:${port}`;
  const address = addressOf(listen.webhooks, ports[0]);
  const url = `${tls === undefined ? 'http' : 'https'}://${address}`;
  return {
    ...(takesWebhooks && { webhooks: { address, url, paths: receivers.map(({ path }) => path) } }),
    operators: addressOf(listen.operators, ports.at(-1)),
    stop: () => listeners.stop(),
  };
}
