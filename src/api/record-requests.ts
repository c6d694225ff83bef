import type { Middleware } from 'koa';
import type { Audit, AuditEntry } from './audit.ts';
import type { Metrics } from './metrics.ts';
import type { Receiver } from './receivers/receiver.ts';
import type { RequestContext, RequestState } from './request-state.ts';

export interface RecordDependencies {
  readonly receivers: readonly Receiver[];
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly now: () => Date;
}

/** One audit line and one count for every request, whatever becomes of it. To be used outside of what answers errors. */
export function recordRequests({ receivers, audit, metrics, now }: RecordDependencies): Middleware<RequestState> {
  return async (context, next) => {
    const begun = performance.now();
    await next();
    const milliseconds = performance.now() - begun;
    const source = receivers.find(({ path }) => path === context.path)?.source ?? 'none';
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
      ...(context.req.socket.remoteAddress === undefined ? {} : { remote_address: context.req.socket.remoteAddress }),
      duration_ms: Math.round(milliseconds),
    });
  };
}

type Said = Omit<AuditEntry, 'timestamp' | 'event_type' | 'source' | 'outcome' | 'status' | 'remote_address' | 'duration_ms'>;

function whatItSaid({ parsed, accepted, nudged, ignored }: RequestContext['state']): Said {
  const { rollouts = [], resolving = [] } = accepted ?? {};
  const services = joined([...rollouts, ...resolving, ...(nudged ?? [])].map(({ service }) => service));
  const about = [...(parsed?.pushes ?? []), ...(parsed?.progress === undefined ? [] : [parsed.progress])];
  const repositories = joined(about.map(({ repository }) => repository));
  return {
    ...(parsed === undefined ? {} : { delivery: parsed.deliveryId, event: parsed.event }),
    ...(parsed?.action === undefined ? {} : { action: parsed.action }),
    ...(repositories === '' ? {} : { repository: repositories }),
    ...(services === '' ? {} : { service: services }),
    rollouts: rollouts.map(({ id }) => id),
    resolving: resolving.map(({ id }) => id),
    ...(nudged === undefined ? {} : { progress: nudged.map(({ id }) => id) }),
    ...(ignored === undefined ? {} : { ignored }),
  };
}

function joined(names: readonly string[]): string {
  return [...new Set(names)].join(',');
}
