import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { AcceptedPushes } from '../api/webhooks/accept-pushes.ts';
import type { Nudged } from '../api/webhooks/forward-progress.ts';
import type { AuditEntry, RequestOutcome } from '../domain/audit.ts';

/** Figures of one process, in a registry of its own. */
export interface Metrics {
  readonly registry: Registry;
  /** @param source a receiver's name, or `none` for a path that is nobody's */
  requestAnswered(source: string, outcome: RequestOutcome, seconds: number): void;
  pushesAccepted(accepted: AcceptedPushes): void;
  progressForwarded(nudged: readonly Nudged[]): void;
  /** What was found without a webhook: by searches of registries, and by looks for failed deliveries. */
  found(entry: AuditEntry): void;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(name: string, help: string, ...labelNames: Label[]): Counter<Label> =>
    new Counter({ name, help, labelNames, registers: [registry] });
  const requests = counter(
    'landfall_webhook_requests_total',
    'Requests to the webhook listener, by source and outcome.',
    'source',
    'outcome',
  );
  const duration = new Histogram({
    name: 'landfall_webhook_duration_seconds',
    help: 'Time from the headers of a request to its answer.',
    labelNames: ['source'],
    // GitHub gives up after 10 s, and Temporal is given 5.
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  const rollouts = counter(
    'landfall_rollouts_started_total',
    'Starts of rollouts that Temporal took, by service. A start of one that runs already counts too.',
    'service',
  );
  const lookUps = counter(
    'landfall_look_ups_started_total',
    'Look-ups of what a service follows that Temporal took, by service.',
    'service',
  );
  const forwards = counter(
    'landfall_forwards_started_total',
    'Pushes that are passed on whole, by service. One that is delivered again counts too.',
    'service',
  );
  const progress = counter(
    'landfall_progress_forwarded_total',
    'Rollouts that were told by a webhook that something at their forge has moved, by service.',
    'service',
  );
  const searches = counter(
    'landfall_searches_total',
    'Searches of a registry for pushes that no webhook told of, by outcome.',
    'registry',
    'outcome',
  );
  const found = counter(
    'landfall_search_found_total',
    'Searches that found a push which no webhook told of, by service.',
    'service',
  );
  const redeliveries = counter(
    'landfall_redeliveries_total',
    'Failed deliveries of webhooks that GitHub was asked to send again, by outcome of the look.',
    'outcome',
  );
  return {
    registry,
    requestAnswered: (source, outcome, seconds) => {
      requests.inc({ source, outcome });
      duration.observe({ source }, seconds);
    },
    pushesAccepted: (accepted) => {
      for (const { service } of accepted.rollouts) rollouts.inc({ service });
      for (const { service } of accepted.resolving) lookUps.inc({ service });
      for (const { service } of accepted.forwarding ?? []) forwards.inc({ service });
    },
    progressForwarded: (nudged) => {
      for (const { service } of nudged) progress.inc({ service });
    },
    found: (entry) => {
      if (entry.event_type === 'registry_searched') {
        searches.inc({ registry: entry.registry, outcome: entry.outcome });
        for (const service of entry.service?.split(',') ?? []) found.inc({ service });
      }
      if (entry.event_type === 'deliveries_checked') redeliveries.inc({ outcome: entry.outcome }, entry.redelivered.length);
    },
  };
}
