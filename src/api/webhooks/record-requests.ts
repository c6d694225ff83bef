import type { Middleware } from 'koa';
import type { Audit, RequestEntry } from '../../domain/audit.ts';
import type { Receiver } from '../../sources/kit/receiver.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import type { RequestContext, RequestState } from './request-state.ts';
import type { Senders } from './senders.ts';

export interface RecordDependencies {
  readonly receivers: readonly Receiver[];
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly senders: Senders;
  readonly now: () => Date;
}

/** One audit line and one count for every request, whatever becomes of it. To be used outside of what answers errors. */
export function recordRequests({ receivers, audit, metrics, senders, now }: RecordDependencies): Middleware<RequestState> {
  const receiverAt = findReceivers(receivers);
  return async (context, next) => {
    const begun = performance.now();
    await next();
    const milliseconds = performance.now() - begun;
    const source = receiverAt(context.path)?.source ?? 'none';
    const { outcome = 'failed', accepted, nudged } = context.state;
    metrics.requestAnswered(source, outcome, milliseconds / 1000);
    if (accepted !== undefined) metrics.pushesAccepted(accepted);
    if (nudged !== undefined) metrics.progressForwarded(nudged);
    audit({
      timestamp: now().toISOString(),
      event_type: 'webhook_received',
      source,
      outcome,
      status: context.status,
      ...whatItSaid(context.state),
      remote_address: senders.addressOf(context.req),
      duration_ms: Math.round(milliseconds),
    });
  };
}

/** @returns finds the receiver of a path, which may end in a secret */
export function findReceivers(receivers: readonly Receiver[]): (path: string) => Receiver | undefined {
  const exact = new Map(receivers.map((receiver) => [receiver.path, receiver]));
  const withSecret = receivers.filter(({ secretInPath }) => secretInPath);
  return (path) => exact.get(path) ?? withSecret.find(({ path: own }) => path.startsWith(`${own}/`));
}

type Said = Omit<RequestEntry, 'timestamp' | 'event_type' | 'source' | 'outcome' | 'status' | 'remote_address' | 'duration_ms'>;

const nothing: Said = { service: null, action: null, repository: null, rollouts: [], resolving: [] };

function whatItSaid({ parsed, accepted, nudged, ignored, reason }: RequestContext['state']): Said {
  const refused = reason === undefined ? {} : { reason };
  if (parsed === undefined) return { ...nothing, ...refused };
  const { rollouts = [], resolving = [], forwarding = [] } = accepted ?? {};
  const services = joined([...rollouts, ...resolving, ...forwarding, ...(nudged ?? [])].map(({ service }) => service));
  const about = [...parsed.pushes, ...(parsed.progress === undefined ? [] : [parsed.progress])];
  const repositories = joined(about.map(({ repository }) => repository));
  return {
    delivery: parsed.deliveryId,
    event: parsed.event,
    service: services || null,
    action: parsed.action ?? null,
    repository: repositories || null,
    rollouts: rollouts.map(({ id }) => id),
    resolving: resolving.map(({ id }) => id),
    ...(forwarding.length === 0 ? {} : { forwarding: forwarding.map(({ id }) => id) }),
    ...(nudged === undefined ? {} : { progress: nudged.map(({ id }) => id) }),
    ...(ignored === undefined ? {} : { ignored }),
    ...refused,
  };
}

function joined(names: readonly string[]): string {
  return [...new Set(names)].join(',');
}
