import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { AuditEntry, RequestOutcome } from '../domain/audit.ts';
import type { OpenRollout } from '../domain/open-rollout.ts';
import { createOpenMetrics } from './open-metrics.ts';
import { countRequests } from './request-metrics.ts';
import { boundedNames, createRolloutMetrics } from './rollout-metrics.ts';

interface OfService {
  readonly service: string;
}

/** Workflows that one request has started, by kind. */
interface StartedWorkflows {
  readonly rollouts: readonly OfService[];
  readonly resolving: readonly OfService[];
  readonly forwarding?: readonly OfService[];
}

/** Where lines of the audit log go. */
export type AuditSink = 'file' | 'decisions' | 'endpoint';

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
  const named = boundedNames();
  const countServices = (counter: Counter<'service'>, all: readonly OfService[]): void => {
    for (const { service } of all) counter.inc({ service: named(service) });
  };
  const others: (() => Promise<string>)[] = [];
  const accepted = new Gauge({
    name: 'landfall_configuration_accepted',
    help: 'Whether the configuration is served as it is in the file: 0 where that was changed and is wrong.',
    registers: [registry],
  });
  accepted.set(1);
  for (const sink of ['file', 'decisions', 'endpoint'] satisfies AuditSink[]) counters.auditFailures.inc({ sink }, 0);
  return {
    registry,
    /** All of `/metrics`. */
    text: async (): Promise<string> =>
      (await Promise.all([registry.metrics(), ...others.map((read) => read())])).filter((text) => text !== '').join('\n'),
    /** Somebody else's figures, in Prometheus' format. */
    passOn: (read: () => Promise<string>): void => void others.push(read),
    /** What is open at the moment of a scrape. */
    showOpen: (read: () => Promise<readonly OpenRollout[]>): void => createOpenMetrics(registry, named, read),
    /** What is read at the moment of a scrape. */
    show(figures: readonly ReadFigure[]): void {
      for (const { name, help, read } of figures) createReadGauge(registry, name, help, read);
    },
    ...createRolloutMetrics(registry, named),
    /** Requests that this process sends. @returns stops it */
    countRequests: () => countRequests(registry),
    /** The configuration was read again. */
    configurationRead: (isAccepted: boolean): void => accepted.set(isAccepted ? 1 : 0),
    auditFailed: (sink: AuditSink) => counters.auditFailures.inc({ sink }),
    /** What a registry tells by the dozen, by what it is. */
    routineTold(source: string, events: Readonly<Record<string, number>>): void {
      for (const [event, count] of Object.entries(events)) counters.routine.inc({ source, event }, count);
    },
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
    /** What was found without a webhook, by searches of registries and by looking for failed deliveries, and what operators decided. */
    found(entry: AuditEntry): void {
      if (entry.event_type === 'registry_searched') {
        counters.searches.inc({ registry: entry.registry, outcome: entry.outcome });
        for (const service of entry.services) counters.found.inc({ service: named(service) });
      }
      if (entry.event_type === 'decision_made') counters.decisions.inc({ action: entry.action });
      if (entry.event_type === 'deliveries_checked')
        counters.redeliveries.inc({ outcome: entry.outcome }, entry.redelivered.length);
    },
  };
}

interface ReadFigure {
  readonly name: string;
  readonly help: string;
  /** Undefined: it is not known. */
  read(): Promise<number | undefined>;
}

function createReadGauge(registry: Registry, name: string, help: string, read: ReadFigure['read']): void {
  new Gauge({
    name: `landfall_${name}`,
    ...{ help, registers: [registry] },
    async collect() {
      this.reset();
      const value = await read().catch(() => undefined);
      this.set(value ?? Number.NaN);
    },
  });
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
    decisions: counter('decisions', ['action'], 'What operators have decided, by what they said.'),
    routine: counter(
      'registry_events',
      ['source', 'event'],
      'Pulls, mounts and layers that a registry told of, which start nothing and are not in the audit log.',
    ),
    auditFailures: counter(
      'audit_failures',
      ['sink'],
      'Times that lines of the audit log could not be written or posted, each repetition included.',
    ),
    redeliveries: counter(
      'redeliveries',
      ['outcome'],
      'Failed deliveries of webhooks that GitHub was asked to send again, by outcome of the look.',
    ),
  };
}
