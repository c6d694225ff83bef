import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { AuditEntry, RequestOutcome } from '../domain/audit.ts';

/** Figures of one process, in a registry of its own. */
export interface Metrics {
  readonly registry: Registry;
  /** @param source a receiver's name, or `none` for a path that is nobody's */
  requestAnswered(source: string, outcome: RequestOutcome, seconds: number): void;
  pushesAccepted(started: StartedWorkflows): void;
  progressForwarded(signalled: readonly ServiceMetrics[]): void;
  /** What was found without a webhook: by searches of registries, and by looking for failed deliveries. Other entries count nothing. */
  found(entry: AuditEntry): void;
}

interface ServiceMetrics {
  readonly service: string;
}

/** Workflows that one request has started, by kind. */
interface StartedWorkflows {
  readonly rollouts: readonly ServiceMetrics[];
  readonly resolving: readonly ServiceMetrics[];
  readonly forwarding?: readonly ServiceMetrics[];
}

interface CounterDefinition {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

const counters = {
  requests: {
    name: 'landfall_webhook_requests_total',
    help: 'Requests to the webhook listener, by source and outcome.',
    labelNames: ['source', 'outcome'],
  },
  rollouts: {
    name: 'landfall_rollouts_started_total',
    help: 'Starts of rollouts that Temporal took, by service. A start of one that runs already counts too.',
    labelNames: ['service'],
  },
  lookUps: {
    name: 'landfall_look_ups_started_total',
    help: 'Look-ups of what a service follows that Temporal took, by service.',
    labelNames: ['service'],
  },
  forwards: {
    name: 'landfall_forwards_started_total',
    help: 'Pushes that are passed on whole, by service. One that is delivered again counts too.',
    labelNames: ['service'],
  },
  progress: {
    name: 'landfall_progress_forwarded_total',
    help: 'Rollouts that were told by a webhook that something at their forge has moved, by service.',
    labelNames: ['service'],
  },
  searches: {
    name: 'landfall_searches_total',
    help: 'Searches of a registry for pushes that no webhook told of, by outcome.',
    labelNames: ['registry', 'outcome'],
  },
  found: {
    name: 'landfall_search_found_total',
    help: 'Searches that found a push which no webhook told of, by service.',
    labelNames: ['service'],
  },
  redeliveries: {
    name: 'landfall_redeliveries_total',
    help: 'Failed deliveries of webhooks that GitHub was asked to send again, by outcome of the look.',
    labelNames: ['outcome'],
  },
} as const satisfies Readonly<Record<string, CounterDefinition>>;

const durations = {
  name: 'landfall_webhook_duration_seconds',
  help: 'Time from the headers of a request to its answer.',
  labelNames: ['source'],
  // GitHub gives up after 10 s, and Temporal is given 5.
  buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
};

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = <Label extends string>(definition: CounterDefinition & { readonly labelNames: readonly Label[] }) =>
    new Counter<Label>({ ...definition, registers: [registry] });
  const requests = counter(counters.requests);
  const duration = new Histogram({ ...durations, registers: [registry] });
  const [rollouts, lookUps, forwards] = [counter(counters.rollouts), counter(counters.lookUps), counter(counters.forwards)];
  const [progress, found] = [counter(counters.progress), counter(counters.found)];
  const searches = counter(counters.searches);
  const redeliveries = counter(counters.redeliveries);
  return {
    registry,
    requestAnswered: (source, outcome, seconds) => {
      requests.inc({ source, outcome });
      duration.observe({ source }, seconds);
    },
    pushesAccepted: (started) => {
      for (const { service } of started.rollouts) rollouts.inc({ service });
      for (const { service } of started.resolving) lookUps.inc({ service });
      for (const { service } of started.forwarding ?? []) forwards.inc({ service });
    },
    progressForwarded: (signalled) => {
      for (const { service } of signalled) progress.inc({ service });
    },
    found: (entry) => {
      if (entry.event_type === 'registry_searched') {
        searches.inc({ registry: entry.registry, outcome: entry.outcome });
        for (const service of entry.services) found.inc({ service });
      }
      if (entry.event_type === 'deliveries_checked') redeliveries.inc({ outcome: entry.outcome }, entry.redelivered.length);
    },
  };
}
