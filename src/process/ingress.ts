import {
  createAcceptPushes,
  createForwardProgress,
  createOperatorApp,
  createReachTemporal,
  createSenders,
  createWebhookApp,
} from '../api/index.ts';
import type { Configuration } from '../config/configuration.ts';
import type { Kinds } from '../config/kinds.ts';
import { plansFor, plansOfRepository } from '../config/plans.ts';
import type { StagePlan } from '../domain/plan.ts';
import { type ClientTrust, createClientTrust } from '../http/client-trust.ts';
import { createListeners } from '../http/listeners.ts';
import type { Receiver } from '../sources/kit/source.ts';
import { createReceivers } from '../sources/kit/source.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Logging } from './logging.ts';
import { linkTo, missingAttributes, type Temporal } from './temporal.ts';

export interface Ingress {
  /** `HOST:PORT`, its URL, and the paths that webhooks can be sent to; absent if this process takes none. */
  readonly webhooks?: { readonly address: string; readonly url: string; readonly paths: readonly string[] };
  /** `HOST:PORT` */
  readonly operators: string;
  stop(): Promise<void>;
}

/** The listeners: webhooks, for the world, and operators, for those who run this; a process that only works has just the second. */
export async function startIngress(
  configuration: Configuration,
  temporal: Temporal,
  logging: Logging,
  metrics: Metrics,
  { sources }: Kinds,
  { takesWebhooks }: { readonly takesWebhooks: boolean },
): Promise<Ingress> {
  const { listen, directory } = configuration;
  const { log, secrets } = logging;
  const receivers = takesWebhooks ? createReceivers(sources, configuration.receivers, { secrets, directory, log }) : [];
  const trust = createClientTrust(receivers, log);
  const tls = listen.tls && { files: listen.tls, ...(trust && { trust }) };
  const webhooks = webhookApp(configuration, temporal, logging, metrics, { receivers, trust });
  const operators = createOperatorApp({ metrics, log, reachTemporal: createReachTemporal(temporal.client) });
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

function webhookApp(
  configuration: Configuration,
  temporal: Temporal,
  { log, audit }: Logging,
  metrics: Metrics,
  { receivers, trust }: { readonly receivers: readonly Receiver[]; readonly trust: ClientTrust | undefined },
): ReturnType<typeof createWebhookApp> {
  const { client } = temporal;
  const { trustedProxies, certificateHeader, limits } = configuration.listen;
  // A certificate is public, so only a header that the proxy is known to set is believed.
  const certificateHeaders = certificateHeader === undefined ? [] : [certificateHeader];
  return createWebhookApp({
    receivers,
    acceptPushes: createAcceptPushes({
      client,
      plansFor: (repository, tag) => plansFor(configuration, repository, tag),
      plansOfRepository: (repository) => plansOfRepository(configuration, repository),
      isNamespaceReady: async () => (await missingAttributes(temporal)).length === 0,
      ...(temporal.uiUrl !== undefined && { linkTo: (id: string) => linkTo(temporal, id) }),
      log,
    }),
    forwardProgress: createForwardProgress({
      client,
      isDeploymentRepository: (repository) => isDeploymentRepository(configuration, repository),
      log,
    }),
    senders: createSenders({ trustedProxies, trust, certificateHeaders }),
    audit,
    metrics,
    limits,
    log,
    now: () => new Date(),
  });
}

/** Whether what happens in a repository (`owner/name`) of the forge can matter to a rollout: a stage changes, deploys by, or watches it. */
function isDeploymentRepository({ services, kinds }: Configuration, repository: string): boolean {
  const wanted = repository.toLowerCase();
  return services.some(({ stages }) =>
    stages.flatMap((stage) => repositoriesOf(stage, kinds)).some((name) => name.toLowerCase() === wanted),
  );
}

function repositoriesOf({ change, deploy, watch }: StagePlan, { deploys }: Kinds): string[] {
  const kind = deploys.find(({ kind }) => kind === deploy?.kind);
  const deployedBy = deploy === undefined ? [] : (kind?.repositoriesOf?.(deploy.settings) ?? []);
  return [change?.repository, ...deployedBy, watch?.deployment?.repository].filter((name) => name !== undefined);
}
