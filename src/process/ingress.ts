import { hostname } from 'node:os';
import {
  createAcceptPushes,
  createForwardProgress,
  createOperatorApp,
  createReachTemporal,
  createSenders,
  createWebhookApp,
} from '../api/index.ts';
import type { Configuration } from '../config/configuration.ts';
import { plansFor, plansOfRepository } from '../config/plans.ts';
import { type ClientTrust, createClientTrust } from '../http/client-trust.ts';
import { createListeners } from '../http/listeners.ts';
import { createKnownNetworks, type KnownNetworks } from '../http/shares.ts';
import { createIsForUs } from '../platform/http/own-name.ts';
import { createIsWithin } from '../settings/networks.ts';
import { createReceivers, type Receiver } from '../sources/kit/source.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Logging } from './logging.ts';
import type { Temporal } from './temporal.ts';

export type Ingress = Awaited<ReturnType<typeof startIngress>>;

/** The listeners: webhooks, for the world, and operators, for those who run this; a process that only works has just the second. */
export async function startIngress(
  configuration: Configuration,
  temporal: Temporal,
  logging: Logging,
  metrics: Metrics,
  { takesWebhooks }: { readonly takesWebhooks: boolean },
) {
  const { listen, directory, kinds } = configuration;
  const { log, secrets } = logging;
  const receivers = takesWebhooks ? createReceivers(kinds.sources, configuration.receivers, { secrets, directory, log }) : [];
  const trust = createClientTrust(receivers, log);
  const tls = listen.tls && { files: listen.tls, ...(trust && { trust }) };
  const known = createKnownNetworks();
  const webhooks = await webhookApp(configuration, temporal, logging, metrics, { receivers, trust, known });
  const reachTemporal = createReachTemporal(temporal.client);
  const isForUs = createIsForUs('network', [listen.operators.host, hostname(), ...(listen.operatorNames ?? [])]);
  const operators = createOperatorApp({ metrics, log, reachTemporal, isForUs });
  const forWebhooks = {
    ...{ name: 'listen.webhooks', handler: webhooks.callback(), ...listen.webhooks, ...(tls && { tls }) },
    ...{ isProxy: createIsWithin(listen.trustedProxies), known },
  };
  const forOperators = { name: 'listen.operators', handler: operators.callback(), ...listen.operators };
  const listeners = createListeners([...(takesWebhooks ? [forWebhooks] : []), forOperators], log);
  const ports = (await listeners.start()).map(({ port }) => port);
  const url = `${tls === undefined ? 'http' : 'https'}://${listen.webhooks.host}:${ports[0]}`;
  return {
    /** What webhooks can be sent to; absent if this process takes none. */
    ...(takesWebhooks && { webhooks: { url, paths: receivers.map(({ path }) => path) } }),
    /** `HOST:PORT` */
    operators: `${listen.operators.host}:${ports.at(-1)}`,
    stop: () => listeners.stop(),
  };
}

async function webhookApp(
  configuration: Configuration,
  temporal: Temporal,
  { log, audit }: Logging,
  metrics: Metrics,
  asked: { readonly receivers: readonly Receiver[]; readonly trust: ClientTrust | undefined; readonly known: KnownNetworks },
): Promise<ReturnType<typeof createWebhookApp>> {
  const { client, namespace, uiUrl, missingAttributes } = temporal;
  const { trustedProxies, addressHeader, certificateHeader, limits } = configuration.listen;
  // A certificate is public, so only a header that the proxy is known to set is believed.
  const certificateHeaders = certificateHeader === undefined ? [] : [certificateHeader];
  return createWebhookApp({
    ...{ receivers: asked.receivers, known: asked.known },
    acceptPushes: createAcceptPushes({
      client,
      plansFor: (repository, tag) => plansFor(configuration, repository, tag),
      plansOfRepository: (repository) => plansOfRepository(configuration, repository),
      isNamespaceReady: async () => (await missingAttributes()).length === 0,
      ...(uiUrl !== undefined && {
        linkTo: (id: string) => `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(id)}`,
      }),
      log,
    }),
    forwardProgress: createForwardProgress({
      client,
      isDeploymentRepository: (repository) => isDeploymentRepository(configuration, repository),
      log,
    }),
    senders: await createSenders({ trustedProxies, addressHeader, trust: asked.trust, certificateHeaders }),
    audit,
    metrics,
    limits,
    log,
    now: () => new Date(),
  });
}

/** Whether what happens in a repository (`owner/name`) of the forge can matter to a rollout: a stage changes, deploys by, or watches it. */
function isDeploymentRepository({ services, kinds: { deploys } }: Configuration, repository: string): boolean {
  const wanted = repository.toLowerCase();
  return services
    .flatMap(({ stages }) => stages)
    .flatMap(({ change, deploy, watch }) => {
      const kind = deploys.find((known) => known.kind === deploy?.kind);
      const deployedBy = (deploy && kind?.repositoriesOf?.(deploy.settings)) ?? [];
      return [change?.repository, ...deployedBy, watch?.deployment?.repository];
    })
    .some((name) => name?.toLowerCase() === wanted);
}
