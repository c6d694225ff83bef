/** The benchmark: from a push to its proposal, beside a straight-line shell script, and more. docs/benchmark.md says how to read it. */
import { writeFile } from 'node:fs/promises';
import { readBaseline, regressions } from './bench/baseline.ts';
import { commandAims, measureCommands } from './bench/command.ts';
import { benchHundredPushes } from './bench/hundred.ts';
import { idleAims, measureIdle } from './bench/idle.ts';
import type { Layout } from './bench/image.ts';
import { measureIngress } from './bench/ingress.ts';
import { ingressAims, ingressText } from './bench/ingress-report.ts';
import { type Aim, aimText, isMet } from './bench/report.ts';
import { benchRollbacks } from './bench/rollback.ts';
import { benchFirstPush, benchSecondPush } from './bench/rollouts.ts';
import { measureStarts, startAims } from './bench/start.ts';
import { buildService } from './setup/build.mjs';

export interface BenchOptions {
  /** The checkout. */
  readonly root: string;
  /** How many images each side gets; one more for each comes first and is not counted. */
  readonly rounds: number;
  /** What the pushed images look like. */
  readonly layout: Layout;
  /** What is measured. */
  readonly parts: readonly BenchPart[];
  /** A missed aim is a failure. */
  readonly check: boolean;
  /** A ratio that got worse by more than 30 % is a failure. */
  readonly compare: boolean;
  /** Where what was found is written to, as JSON. */
  readonly json: string | undefined;
  readonly print: (line: string) => void;
}

/** Each answers undefined where somebody stopped it. */
const benches = {
  start: benchStart,
  idle: benchIdle,
  command: benchCommand,
  rollout: benchFirstPush,
  second: benchSecondPush,
  hundred: ({ print }: BenchOptions) => benchHundredPushes(print),
  rollback: ({ rounds, print }: BenchOptions) => benchRollbacks(rounds, print),
  ingress: benchIngress,
} satisfies Record<string, (options: BenchOptions) => Promise<Aim[] | undefined>>;

export type BenchPart = keyof typeof benches;
export const benchParts = Object.keys(benches) as BenchPart[];
/** In about three minutes, and with two rounds: what is compared with a peer, so that a busy machine does not matter. */
export const quickParts: readonly BenchPart[] = ['rollout', 'second', 'ingress'];

/** @returns the exit code: 0, 1 where an aim is missed or something got slower and that is asked for, 130 where somebody stopped it */
export async function runBench(options: BenchOptions): Promise<number> {
  const { parts, check, compare, json, print } = options;
  const aims: Aim[] = [];
  for (const part of parts) {
    const found = await benches[part](options);
    if (found === undefined) return 130;
    aims.push(...found);
  }
  print(`\n${aims.map(aimText).join('\n')}`);
  const slower = compare ? regressions(aims, readBaseline()) : [];
  for (const sentence of slower) print(`SLOWER  ${sentence}`);
  if (json !== undefined)
    await writeFile(
      json,
      `${JSON.stringify(
        aims.map((aim) => ({ ...aim, met: isMet(aim) })),
        undefined,
        2,
      )}\n`,
    );
  return slower.length > 0 || (check && !aims.every(isMet)) ? 1 : 0;
}

async function benchStart({ root, rounds, print }: BenchOptions): Promise<Aim[]> {
  print(`Starting the service ${rounds} times from the sources and from the build.`);
  await buildService(root, { env: process.env, say: print });
  return startAims(await measureStarts(root, rounds));
}

async function benchIdle({ root, print }: BenchOptions): Promise<Aim[]> {
  if (!isOnLinux('idle', print)) return [];
  print('Looking at the service while it has nothing to do, for a minute.');
  await buildService(root, { env: process.env, say: print });
  return idleAims(await measureIdle(root));
}

async function benchCommand({ root, rounds, print }: BenchOptions): Promise<Aim[]> {
  if (!isOnLinux('command', print)) return [];
  print(`Running landfall list ${rounds} times from the sources and from the build.`);
  await buildService(root, { env: process.env, say: print });
  return commandAims(await measureCommands(root, rounds));
}

/** What processes take is read from /proc. */
function isOnLinux(part: BenchPart, print: BenchOptions['print']): boolean {
  if (process.platform !== 'linux') print(`The part ${part} is left out: it needs Linux.`);
  return process.platform === 'linux';
}

async function benchIngress({ rounds, print }: BenchOptions): Promise<Aim[]> {
  print('\nStarting an ingress and a Temporal server for it.');
  const measured = await measureIngress(rounds, { starts: 1_000, refusals: 5_000, atOnce: 32 }, print);
  print(`\n${ingressText(measured)}`);
  return ingressAims(measured);
}
