import type { Middleware } from 'koa';
import type { Audit, RequestEntry } from '../../domain/audit.ts';
import type { Metrics } from '../../telemetry/metrics.ts';
import { type RequestState, sourceOf } from './request.ts';

export interface RecordDependencies {
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly now: () => Date;
}

/** One audit entry and one count for every request, whatever becomes of it. To be used outside of what answers errors. */
export function recordRequests({ audit, metrics, now }: RecordDependencies): Middleware<RequestState> {
  return async (context, next) => {
    const begun = performance.now();
    await next();
    const milliseconds = performance.now() - begun;
    const { state, status } = context;
    const { outcome = 'failed', accepted, signalled } = state;
    const source = sourceOf(state);
    metrics.requestAnswered(source, outcome, milliseconds / 1000);
    if (accepted !== undefined) metrics.pushesAccepted(accepted);
    if (signalled !== undefined) metrics.progressForwarded(signalled);
    audit({
      timestamp: now().toISOString(),
      event_type: 'webhook_received',
      source,
      outcome,
      status,
      ...contentOf(state),
      remote_address: state.address,
      duration_ms: Math.round(milliseconds),
    });
  };
}

type EntryContent = Omit<
  RequestEntry,
  'timestamp' | 'event_type' | 'source' | 'outcome' | 'status' | 'remote_address' | 'duration_ms'
>;

/** What the request was about and what came of it; nothing that it says itself before it is known to be authentic. */
function contentOf({ parsed, accepted, signalled, ignored, reason }: RequestState): EntryContent {
  const refused = reason === undefined ? {} : { reason };
  if (parsed === undefined) return { services: [], action: null, repositories: [], rollouts: [], resolving: [], ...refused };
  const { rollouts = [], resolving = [], forwarding = [] } = accepted ?? {};
  const concerned = [...rollouts, ...resolving, ...forwarding, ...(signalled ?? [])];
  const about = [...parsed.images, ...(parsed.progress === undefined ? [] : [parsed.progress])];
  return {
    delivery: parsed.deliveryId,
    event: parsed.event,
    services: [...new Set(concerned.map(({ service }) => service))],
    action: parsed.action ?? null,
    repositories: [...new Set(about.map(({ repository }) => repository))],
    rollouts: rollouts.map(({ id }) => id),
    resolving: resolving.map(({ id }) => id),
    ...(forwarding.length === 0 ? {} : { forwarding: forwarding.map(({ id }) => id) }),
    ...(signalled === undefined ? {} : { progress: signalled.map(({ id }) => id) }),
    ...(ignored === undefined ? {} : { ignored }),
    ...refused,
  };
}
