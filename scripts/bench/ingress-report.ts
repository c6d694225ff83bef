import type { IngressRound } from './ingress.ts';
import type { Pace } from './pace.ts';
import { type Aim, median } from './report.ts';

/** The ingress's aims of docs/benchmark.md: medians of the rounds' ratios, because only sides of one round met the same machine. */
export function ingressAims(rounds: readonly IngressRound[]): Aim[] {
  const ratio = (of: (round: IngressRound) => readonly [ours: Pace, bare: Pace]) =>
    median(rounds.map(of).map(([ours, bare]) => ours.perSecond / bare.perSecond));
  return [
    {
      id: 'accepted',
      isRatio: true,
      what: 'deliveries accepted per second, of the starts of a bare Temporal client',
      atLeast: 0.9,
      found: ratio(({ accepted, bare }) => [accepted, bare]),
    },
    {
      id: 'refused',
      isRatio: true,
      what: 'deliveries refused per second, of the answers of a bare Koa',
      atLeast: 0.6,
      found: ratio(({ refused, koa }) => [refused, koa]),
    },
  ];
}

export function ingressText(rounds: readonly IngressRound[]): string {
  const row = (what: string, of: (round: IngressRound) => Pace): string => {
    const found = (value: (pace: Pace) => number) => median(rounds.map((round) => value(of(round))));
    const perSecond = Math.round(found((pace) => pace.perSecond));
    const [p50, p99] = [found(({ p50Ms }) => p50Ms), found(({ p99Ms }) => p99Ms)].map((ms) => `${ms.toFixed(1)} ms`);
    return `  ${what.padEnd(34)} ${`${perSecond}/s`.padStart(8)}   p50 ${p50}, p99 ${p99}`;
  };
  return [
    `The ingress, median of ${rounds.length}:`,
    row('accepted (202: Temporal has it)', ({ accepted }) => accepted),
    row('bare Temporal client', ({ bare }) => bare),
    row('refused (401: wrongly signed)', ({ refused }) => refused),
    row('bare Koa that answers 401', ({ koa }) => koa),
  ].join('\n');
}
