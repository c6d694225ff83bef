import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { AuditEntry, RequestOutcome } from '../domain/audit.ts';
import type { AcceptedPushes } from './accept-pushes.ts';
import type { Nudged } from './forward-progress.ts';

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
  const requests = new Counter({
    name: 'landfall_webhook_requests_total',
    help: 'Requests to the webhook listener, by source and outcome.',
    labelNames: ['source', 'outcome'],
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'landfall_webhook_duration_seconds',
    help: 'Time from the headers of a request to its answer.',
    labelNames: ['source'],
    // GitHub gives up after 10 s, and Temporal is given 5.
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  const rollouts = new Counter({
    name: 'landfall_rollouts_started_total',
    help: 'Starts of rollouts that Temporal took, by service. A start of one that runs already counts too.',
    labelNames: ['service'],
    registers: [registry],
  });
  const lookUps = new Counter({
    name: 'landfall_look_ups_started_total',
    help: 'Look-ups of what a service follows that Temporal took, by service.',
    labelNames: ['service'],
    registers: [registry],
  });
  const progress = new Counter({
    name: 'landfall_progress_forwarded_total',
    help: 'Rollouts that were told by a webhook that something at their forge has moved, by service.',
    labelNames: ['service'],
    registers: [registry],
  });
  const searches = new Counter({
    name: 'landfall_searches_total',
    help: 'Searches of a registry for pushes that no webhook told of, by outcome.',
    labelNames: ['registry', 'outcome'],
    registers: [registry],
  });
  const found = new Counter({
    name: 'landfall_search_found_total',
    help: 'Searches that found a push which no webhook told of, by service.',
    labelNames: ['service'],
    registers: [registry],
  });
  const redeliveries = new Counter({
    name: 'landfall_redeliveries_total',
    help: 'Failed deliveries of webhooks that GitHub was asked to send again, by outcome of the look.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  return {
    registry,
    requestAnswered: (source, outcome, seconds) => {
      requests.inc({ source, outcome });
      duration.observe({ source }, seconds);
    },
    pushesAccepted: (accepted) => {
      for (const { service } of accepted.rollouts) rollouts.inc({ service });
      for (const { service } of accepted.resolving) lookUps.inc({ service });
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
