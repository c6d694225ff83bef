import type { LandfallRound, ScriptRound } from './contestants.ts';
import { type Layout, service } from './image.ts';

export interface Measured {
  readonly landfall: readonly LandfallRound[];
  readonly script: readonly ScriptRound[];
}

/** What is wanted of Landfall, and what was found. */
export type Aim = {
  /** Stays the same: what is kept of earlier runs is found by it. */
  readonly id: string;
  readonly what: string;
  readonly found: number;
  /** Of something else that was measured in the same run, so that the machine does not matter. */
  readonly isRatio?: boolean;
} & ({ readonly atMost: number } | { readonly atLeast: number });

/** The aims of docs/benchmark.md. */
export function aimsOf(measured: Measured): Aim[] {
  const { landfall } = measured;
  return [
    {
      id: 'first-push',
      what: "Landfall's time from push to proposal, of the script's",
      atMost: 0.8,
      found: ratioOf(measured),
      isRatio: true,
    },
    {
      id: 'own-time',
      what: "the rollout's own time outside activities, of its whole",
      atMost: 0.1,
      found: median(landfall.map(({ times }) => times.ownMs / times.wholeMs)),
    },
    {
      id: 'events',
      what: 'events of history up to the proposal',
      atMost: 60,
      found: Math.max(...landfall.map(({ events }) => events)),
    },
  ];
}

/** Of an image of which one small layer is new. */
export function secondAim(measured: Measured, layout: Layout): Aim {
  return {
    id: `second-push-${layout}`,
    what: `the same for the next image of a service, with one small new layer (${layout})`,
    atMost: 0.8,
    found: ratioOf(measured),
    isRatio: true,
  };
}

function ratioOf({ landfall, script }: Measured): number {
  const wholeTime = (rounds: readonly { proposedAfterMs: number }[]) =>
    median(rounds.map(({ proposedAfterMs }) => proposedAfterMs));
  return wholeTime(landfall) / wholeTime(script);
}

export function isMet(aim: Aim): boolean {
  return 'atMost' in aim ? aim.found <= aim.atMost : aim.found >= aim.atLeast;
}

/** Everything that was found, for people. Times are medians over the rounds. */
export function reportText(measured: Measured, layout: Layout): string {
  const { landfall, script } = measured;
  const own = median(landfall.map(({ times }) => times.ownMs));
  const ownWithLane = median(landfall.map(({ times }) => times.ownWithLaneMs));
  const whole = median(landfall.map(({ times }) => times.wholeMs));
  const events = landfall.map((round) => round.events);
  const bytes = landfall.map((round) => round.bytes);
  return [
    `From push to proposal, median of ${landfall.length} (fastest to slowest):`,
    `  Landfall  ${spread(landfall)}  ${stepsText(landfallSteps(landfall))}`,
    `  Script    ${spread(script)}  ${stepsText(script.map(({ steps }) => steps))}`,
    `  Images are laid out as ${layout} has it, which decides how long a scan takes, and so what is gained: see docs/benchmark.md.`,
    `  Landfall scans and smoke-tests side by side. The service answers ${service.startsWithinSeconds} s after its start.`,
    '',
    "The rollout's own time, outside activities, by its history:",
    `  ${seconds(own)} of ${seconds(whole)}; with its calls to the lane, which are local activities, ${seconds(ownWithLane)}`,
    '',
    'History up to the proposal:',
    `  ${range(events)} events, ${range(bytes)} bytes`,
  ].join('\n');
}

export function aimText(aim: Aim): string {
  const shown = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(value < 0.1 ? 3 : 2));
  const bound = 'atMost' in aim ? `at most ${shown(aim.atMost)}` : `at least ${shown(aim.atLeast)}`;
  return `${isMet(aim) ? 'met   ' : 'MISSED'}  ${aim.what}: ${shown(aim.found)} (aim: ${bound})`;
}

/** Activities, in the order in which they began. */
function landfallSteps(rounds: readonly LandfallRound[]): { name: string; ms: number }[][] {
  return rounds.map(({ times }) =>
    times.activities.filter(({ isLocal }) => !isLocal).map(({ name, fromMs, toMs }) => ({ name, ms: toMs - fromMs })),
  );
}

function stepsText(rounds: readonly (readonly { name: string; ms: number }[])[]): string {
  const names = [...new Set(rounds.flatMap((steps) => steps.map(({ name }) => name)))];
  const took = (wanted: string) =>
    median(rounds.flatMap((steps) => steps.filter(({ name }) => name === wanted).map(({ ms }) => ms)));
  return names.map((name) => `${name} ${seconds(took(name))}`).join(', ');
}

function spread(rounds: readonly { readonly proposedAfterMs: number }[]): string {
  const times = rounds.map(({ proposedAfterMs }) => proposedAfterMs);
  return `${seconds(median(times))} (${seconds(Math.min(...times))} to ${seconds(Math.max(...times))})`;
}

function range(values: readonly number[]): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return least === most ? String(least) : `${least} to ${most}`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(milliseconds < 1_000 ? 2 : 1)} s`;
}

/** @throws Error for no values */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[Math.floor((sorted.length - 1) / 2)], sorted[Math.floor(sorted.length / 2)]];
  if (low === undefined || high === undefined) throw new Error('there is no median of nothing');
  return (low + high) / 2;
}
