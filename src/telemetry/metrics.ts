import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';
import type { AuditEntry, RequestOutcome } from '../domain/audit.ts';

interface OfService {
  readonly service: string;
}

/** Workflows that one request has started, by kind. */
interface StartedWorkflows {
  readonly rollouts: readonly OfService[];
  readonly resolving: readonly OfService[];
  readonly forwarding?: readonly OfService[];
}

export type Metrics = ReturnType<typeof createMetrics>;

/** Figures of one process, in a registry of its own. */
export function createMetrics() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const duration = new Histogram({
    name: 'landfall_webhook_duration_seconds',
    help: 'Time from the headers of a request to its answer.',
    labelNames: ['source'],
    // GitHub gives up after 10 s, and Temporal is given 5.
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  const counters = createCounters(registry);
  const countServices = (counter: Counter<'service'>, all: readonly OfService[]): void => {
    for (const { service } of all) counter.inc({ service });
  };
  return {
    registry,
    /** @param source a receiver's name, or `none` for a path that is nobody's */
    requestAnswered(source: string, outcome: RequestOutcome, seconds: number): void {
      counters.requests.inc({ source, outcome });
      duration.observe({ source }, seconds);
    },
    pushesAccepted({ rollouts, resolving, forwarding = [] }: StartedWorkflows): void {
      countServices(counters.rollouts, rollouts);
      countServices(counters.lookUps, resolving);
      countServices(counters.forwards, forwarding);
    },
    progressForwarded: (signalled: readonly OfService[]) => countServices(counters.progress, signalled),
    /** What was found without a webhook: by searches of registries, and by looking for failed deliveries. Other entries count nothing. */
    found(entry: AuditEntry): void {
      if (entry.event_type === 'registry_searched') {
        counters.searches.inc({ registry: entry.registry, outcome: entry.outcome });
        for (const service of entry.services) counters.found.inc({ service });
      }
      if (entry.event_type === 'deliveries_checked')
        counters.redeliveries.inc({ outcome: entry.outcome }, entry.redelivered.length);
    },
  };
}

function createCounters(registry: Registry) {
  /** Called `landfall_NAME_total`. */
  const counter = <Label extends string>(name: string, labelNames: readonly Label[], help: string) =>
    new Counter<Label>({ name: `landfall_${name}_total`, help, labelNames, registers: [registry] });
  const byService = (name: string, help: string) => counter(name, ['service'], help);
  return {
    requests: counter('webhook_requests', ['source', 'outcome'], 'Requests to the webhook listener, by source and outcome.'),
    rollouts: byService(
      'rollouts_started',
      'Starts of rollouts that Temporal took, by service. A start of one that runs already counts too.',
    ),
    lookUps: byService('look_ups_started', 'Look-ups of what a service follows that Temporal took, by service.'),
    forwards: byService(
      'forwards_started',
      'Pushes that are passed on whole, by service. One that is delivered again counts too.',
    ),
    progress: byService(
      'progress_forwarded',
      'Rollouts that were told by a webhook that something at their forge has moved, by service.',
    ),
    found: byService('search_found', 'Searches that found a push which no webhook told of, by service.'),
    searches: counter(
      'searches',
      ['registry', 'outcome'],
      'Searches of a registry for pushes that no webhook told of, by outcome.',
    ),
    redeliveries: counter(
      'redeliveries',
      ['outcome'],
      'Failed deliveries of webhooks that GitHub was asked to send again, by outcome of the look.',
    ),
  };
}
