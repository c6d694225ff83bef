import {
  createAcceptCommits,
  createAcceptPushes,
  createForwardProgress,
  createOperatorApp,
  createReachTemporal,
  createSenders,
  createWebhookApp,
} from '../api/index.ts';
import type { Configuration } from '../config/configuration.ts';
import { plansFor, plansOfRepository } from '../config/plans.ts';
import type { Environment } from '../domain/environment.ts';
import { type ClientTrust, createClientTrust } from '../http/client-trust.ts';
import { createListeners } from '../http/listeners.ts';
import { createKnownNetworks, type KnownNetworks } from '../http/shares.ts';
import { createIsWithin } from '../settings/networks.ts';
import { createReceivers, type Receiver } from '../sources/kit/source.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Tracer } from '../telemetry/tracing/tracer.ts';
import type { Logging } from './logging.ts';
import { operatorParts } from './operators.ts';
import type { CurrentConfiguration } from './reload.ts';
import type { Temporal } from './temporal.ts';

export type Ingress = Awaited<ReturnType<typeof startIngress>>;

type AskedOfTemporal = Pick<Temporal, 'client' | 'namespace' | 'uiUrl' | 'missingAttributes'>;

interface IngressOptions {
  readonly takesWebhooks: boolean;
  readonly env: Environment;
  /** Absent: nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

/** The listeners: webhooks, for the world, and operators, for those who run this; a process that only works has just the second. */
export async function startIngress(
  current: CurrentConfiguration,
  temporal: AskedOfTemporal,
  logging: Logging,
  metrics: Metrics,
  { takesWebhooks, env, tracer }: IngressOptions,
) {
  const { listen } = current.configuration;
  const { log, secrets } = logging;
  const receiversOf = ({ directory, kinds, receivers }: Configuration) =>
    takesWebhooks ? createReceivers(kinds.sources, receivers, { secrets, directory, log }) : [];
  const receivers = receiversOf(current.configuration);
  const trust = createClientTrust(receivers, log);
  const tls = listen.tls && { files: listen.tls, ...(trust && { trust }) };
  const known = createKnownNetworks();
  let webhooks = (await webhookApp(current, temporal, logging, metrics, { receivers, trust, known, listen, tracer })).callback();
  const reachTemporal = createReachTemporal(temporal.client);
  let told: readonly string[] = [];
  const { stop: stopStreams, isForUs, heard, ...parts } = operatorParts(current, temporal, logging, () => told, env);
  const operators = createOperatorApp({ metrics, log, reachTemporal, isForUs, parts });
  const isProxy = createIsWithin(listen.trustedProxies);
  const forWebhooks = {
    ...{ name: 'listen.webhooks', ...listen.webhooks, ...(tls && { tls }) },
    handler: (...request: Parameters<typeof webhooks>) => webhooks(...request),
    ...{ isProxy, known },
  };
  const forOperators = { name: 'listen.operators', handler: operators.callback(), ...listen.operators, isProxy };
  const listeners = createListeners([...(takesWebhooks ? [forWebhooks] : []), forOperators], log);
  const ports = (await listeners.start()).map(({ port }) => port);
  const url = `${tls === undefined ? 'http' : 'https'}://${listen.webhooks.host}:${ports[0]}`;
  const base = current.configuration.publicUrl ?? url;
  const urlsOf = (opened: readonly Receiver[]) => opened.map(({ path }) => `${base}${path}`);
  told = urlsOf(receivers);
  return {
    /** What webhooks can be sent to; absent if this process takes none. */
    ...(takesWebhooks && { webhooks: { url, paths: receivers.map(({ path }) => path) } }),
    /** `HOST:PORT` */
    operators: `${listen.operators.host}:${ports.at(-1)}`,
    /** Tells those who listen to events what is recorded. */
    heard,
    /** Opens the receivers of another configuration. @returns has them take the webhooks from then on @throws where one cannot be opened */
    async renew(configuration: Configuration): Promise<() => void> {
      const renewed = receiversOf(configuration);
      const app = await webhookApp(current, temporal, logging, metrics, { receivers: renewed, trust, known, listen, tracer });
      return () => {
        webhooks = app.callback();
        told = urlsOf(renewed);
      };
    },
    async stop() {
      // Streams never end by themselves.
      stopStreams();
      await listeners.stop();
    },
  };
}

interface AskedOfReceivers {
  readonly receivers: readonly Receiver[];
  readonly trust: ClientTrust | undefined;
  readonly known: KnownNetworks;
  /** Those of the start: the listener has them, too. */
  readonly listen: Configuration['listen'];
  readonly tracer: Tracer | undefined;
}

async function webhookApp(
  current: CurrentConfiguration,
  temporal: AskedOfTemporal,
  { log, audit }: Logging,
  metrics: Metrics,
  asked: AskedOfReceivers,
): Promise<ReturnType<typeof createWebhookApp>> {
  const { client, namespace, uiUrl, missingAttributes } = temporal;
  const { trustedProxies, addressHeader, certificateHeader, limits } = asked.listen;
  // A certificate is public, so only a header that the proxy is known to set is believed.
  const certificateHeaders = certificateHeader === undefined ? [] : [certificateHeader];
  const link = uiUrl !== undefined && {
    linkTo: (id: string) => `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${encodeURIComponent(id)}`,
  };
  return createWebhookApp({
    ...{ receivers: asked.receivers, known: asked.known, tracer: asked.tracer },
    acceptPushes: createAcceptPushes({
      client,
      plansFor: (repository, tag) => plansFor(current.configuration, repository, tag),
      plansOfRepository: (repository) => plansOfRepository(current.configuration, repository),
      isNamespaceReady: async () => (await missingAttributes()).length === 0,
      ...link,
      log,
    }),
    acceptCommits: createAcceptCommits({ client, current, ...link, log }),
    forwardProgress: createForwardProgress({
      client,
      isDeploymentRepository: (repository) => isDeploymentRepository(current.configuration, repository),
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
