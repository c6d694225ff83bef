import { Gauge, type Registry } from 'prom-client';
import type { OpenRollout } from '../domain/open-rollout.ts';

/** Several scrapers in a row cost Temporal one list. */
const keptMs = 10_000;

/** One value of a gauge, and what it is of. */
interface GaugeValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * What is open at the moment of a scrape. While Temporal does not answer, nothing is said of rollouts, in place of what was true before.
 * @param read rejects while Temporal does not answer
 */
export function createOpenMetrics(
  registry: Registry,
  named: (service: string) => string,
  read: () => Promise<readonly OpenRollout[]>,
): void {
  const current = remembered(async () => (await read()).map((rollout) => ({ ...rollout, service: named(rollout.service) })));
  const gauge = (
    name: string,
    labelNames: readonly string[],
    help: string,
    valuesOf: (open: readonly OpenRollout[]) => GaugeValue[],
  ) =>
    new Gauge({
      name: `landfall_${name}`,
      ...{ help, labelNames, registers: [registry] },
      async collect() {
        this.reset();
        const open = await current();
        if (open !== undefined) for (const { labels, value } of valuesOf(open)) this.set(labels, value);
      },
    });
  new Gauge({
    name: 'landfall_temporal_reachable',
    help: 'Whether Temporal answered when it was asked for this scrape.',
    registers: [registry],
    async collect() {
      this.set((await current()) === undefined ? 0 : 1);
    },
  });
  gauge('rollouts', ['service', 'status'], 'Rollouts that have not ended, by service and status.', (open) =>
    counted(open, ({ service, status, isBuild }) => (isBuild ? undefined : { service, status })),
  );
  gauge('lane_depth', ['service'], 'Rollouts of a service that are under way or wait for each other.', (open) =>
    counted(open, ({ service, isBuild }) => (isBuild ? undefined : { service })),
  );
  gauge('decisions_waiting', ['service', 'kind'], 'Decisions that a person has to make, by service and kind.', (open) =>
    counted(open, ({ service, decision }) => decision && { service, kind: decision }),
  );
  gauge('oldest_decision_age_seconds', ['kind'], 'How long the oldest decision has been waiting, by kind.', oldest);
}

function counted(
  open: readonly OpenRollout[],
  labelsOf: (rollout: OpenRollout) => GaugeValue['labels'] | undefined,
): GaugeValue[] {
  const found = new Map<string, GaugeValue>();
  for (const rollout of open) {
    const labels = labelsOf(rollout);
    if (labels === undefined) continue;
    const key = JSON.stringify(labels);
    found.set(key, { labels, value: (found.get(key)?.value ?? 0) + 1 });
  }
  return [...found.values()];
}

function oldest(open: readonly OpenRollout[]): GaugeValue[] {
  return (['blocked', 'approval'] as const).map((kind) => {
    const ages = open.filter(({ decision }) => decision === kind).map(({ since }) => (Date.now() - Date.parse(since)) / 1000);
    return { labels: { kind }, value: Math.max(0, ...ages) };
  });
}

/** @returns undefined where it was not answered */
function remembered<Result>(read: () => Promise<Result>): () => Promise<Result | undefined> {
  let last: { readonly at: number; readonly result: Promise<Result | undefined> } | undefined;
  return async () => {
    if (last === undefined || Date.now() - last.at > keptMs) {
      last = { at: Date.now(), result: read().catch(() => undefined) };
    }
    return await last.result;
  };
}
