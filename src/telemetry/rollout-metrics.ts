import { Counter, Histogram, type Registry } from 'prom-client';
import type { ProgressEntry, ProgressStep } from '../domain/progress.ts';
import { secondsBetween } from '../domain/progress.ts';
import { ends, isEnd } from '../domain/rollout-state.ts';

/** From a merge that is there at once to an approval after a weekend. */
const rolloutBuckets = [5, 10, 20, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 86_400, 259_200];
const stepBuckets = [0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600];
/** Services of a pattern have their names from whoever pushes: beyond so many they are one. */
const mostServices = 500;
export const otherServices = '(others)';

/** What became of rollouts and their steps, as the workers of this process have seen it. */
export function createRolloutMetrics(registry: Registry, named: (service: string) => string) {
  const known = new Set<string>();
  const figures = createFigures(registry);
  /** Begins with 0: Prometheus sees no increase in what begins with 1. */
  const expect = (name: string): string => {
    const service = named(name);
    if (!known.has(service)) for (const end of ends) figures.ended.inc({ service, end }, 0);
    known.add(service);
    return service;
  };
  return {
    /** Of a service that may have rollouts. @param stages those that may be rolled back */
    expect(name: string, stages: readonly string[]): void {
      const service = expect(name);
      for (const stage of stages) figures.rollbacks.inc({ service, stage, outcome: 'blocked' }, 0);
    },
    /** To be told of each change. */
    moved(entry: ProgressEntry): void {
      const service = expect(entry.service);
      if (entry.step !== undefined) countStep(figures, service, entry.step, entry.sincePushMs);
      else if (isEnd(entry.status)) figures.ended.inc({ service, end: entry.status });
      if (entry.step === undefined && entry.status === 'delivered')
        figures.delivered.observe({ service }, entry.sincePushMs / 1000);
    },
  };
}

/** A name that was seen among the first ones, or that of all others. */
export function boundedNames(most = mostServices, others = otherServices): (name: string) => string {
  const known = new Set<string>();
  return (name) => {
    if (known.size < most) known.add(name);
    return known.has(name) ? name : others;
  };
}

type RolloutGauges = ReturnType<typeof createFigures>;

function countStep(figures: RolloutGauges, service: string, of: ProgressStep, sincePushMs: number): void {
  const { step, stage = '', status, failure = 'unknown', startedAt, endedAt } = of;
  if (startedAt !== undefined && endedAt !== undefined) {
    figures.stepSeconds.observe({ step, status }, secondsBetween(startedAt, endedAt));
  }
  if (status === 'blocked') figures.stepFailures.inc({ step, failure });
  if (step === 'rollback' && endedAt !== undefined) figures.rollbacks.inc({ service, stage, outcome: status });
  if (status !== 'passed') return;
  if (step === 'deploy') figures.deploys.inc({ service, stage });
  if (step === 'propose') figures.proposed.observe({ service }, sincePushMs / 1000);
  if (step === 'watch') figures.healthy.observe({ service, stage }, sincePushMs / 1000);
}

function createFigures(registry: Registry) {
  const registers = [registry];
  const sincePush = <Label extends string>(name: string, labelNames: readonly Label[], until: string) =>
    new Histogram<Label>({
      name: `landfall_time_to_${name}_seconds`,
      help: `Time from when the push was told until ${until}.`,
      ...{ labelNames, registers, buckets: rolloutBuckets },
    });
  const counter = <Label extends string>(name: string, labelNames: readonly Label[], help: string) =>
    new Counter<Label>({ name: `landfall_${name}_total`, help, labelNames, registers });
  return {
    ended: counter('rollouts_ended', ['service', 'end'], 'Rollouts that have ended, by service and end.'),
    deploys: counter(
      'deploys',
      ['service', 'stage'],
      'Deploys that were done, also of the parts of one; not whether they are healthy.',
    ),
    rollbacks: counter(
      'rollbacks',
      ['service', 'stage', 'outcome'],
      'Rollbacks, by outcome: passed, skipped, stopped, or blocked (one that was blocked may pass later).',
    ),
    stepFailures: counter('step_failures', ['step', 'failure'], 'Steps that were blocked, by type of the failure.'),
    stepSeconds: new Histogram({
      name: 'landfall_step_duration_seconds',
      help: 'How long steps took, by what became of them; what they waited for included.',
      ...{ labelNames: ['step', 'status'], registers, buckets: stepBuckets },
    }),
    proposed: sincePush('proposed', ['service'], 'the image was proposed'),
    healthy: sincePush('healthy', ['service', 'stage'], 'a watched stage was healthy with it'),
    delivered: sincePush('delivered', ['service'], 'every stage had it'),
  };
}
