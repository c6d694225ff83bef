/** The benchmark: from a push to its proposal, beside a straight-line shell script. docs/benchmark.md says how to read it. */
import { once } from 'node:events';
import { startWorld, type World } from '../test/support/world.ts';
import { type LandfallRound, measureLandfall, measureScript, type ScriptRound } from './bench/contestants.ts';
import { type Layout, readServiceFiles, type ServiceFiles, service } from './bench/image.ts';
import { measureIngress } from './bench/ingress.ts';
import { ingressAims, ingressText } from './bench/ingress-report.ts';
import { type Aim, aimsOf, aimText, isMet, type Measured, reportText } from './bench/report.ts';
import { measureStarts, startAims } from './bench/start.ts';
import { buildService } from './setup/build.mjs';

export const benchParts = ['start', 'rollout', 'ingress'] as const;
export type BenchPart = (typeof benchParts)[number];

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
  readonly print: (line: string) => void;
}

/** @returns the exit code: 0, or 1 where an aim is missed and `check` is asked for */
export async function runBench(options: BenchOptions): Promise<number> {
  const { rounds, parts, check, print } = options;
  const startsAims = parts.includes('start') ? await benchStart(options) : [];
  const rolloutAims = parts.includes('rollout') ? await benchRollout(options) : [];
  if (rolloutAims === undefined) return 130;
  const aims = [...startsAims, ...rolloutAims, ...(parts.includes('ingress') ? await benchIngress(rounds, print) : [])];
  print(`\n${aims.map(aimText).join('\n')}`);
  return check && !aims.every(isMet) ? 1 : 0;
}

async function benchStart({ root, rounds, print }: BenchOptions): Promise<Aim[]> {
  print(`Starting the service ${rounds} times from the sources and from the build.`);
  await buildService(root, { env: process.env, say: print });
  return startAims(await measureStarts(root, rounds));
}

/** @returns undefined where somebody stopped it */
async function benchRollout({ root, rounds, layout, print }: BenchOptions): Promise<Aim[] | undefined> {
  const stop = new AbortController();
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]).then(() => stop.abort());
  print('Starting a registry, a deployment repository, Temporal and Landfall.');
  const { port, path } = service;
  const smoke = { timeout: '60s', http: { port, path } };
  const world = await startWorld({ forge: 'git', service: { smoke } });
  try {
    await world.start();
    const files = await readServiceFiles(root, layout);
    const measured = await Promise.race([measureRounds(world, files, rounds, print, stop.signal), stopped]);
    if (measured === undefined) return undefined;
    print(`\n${reportText(measured, layout)}`);
    return aimsOf(measured);
  } finally {
    await world.stop();
  }
}

async function benchIngress(rounds: number, print: (line: string) => void): Promise<Aim[]> {
  print('\nStarting an ingress and a Temporal server for it.');
  const measured = await measureIngress(rounds, { starts: 1_000, refusals: 5_000, atOnce: 32 }, print);
  print(`\n${ingressText(measured)}`);
  return ingressAims(measured);
}

/** The sides take turns at being first, so that neither always has the machine that the other has warmed up. */
async function measureRounds(
  world: World,
  files: ServiceFiles,
  rounds: number,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<Measured> {
  const landfall: LandfallRound[] = [];
  const script: ScriptRound[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const isScriptFirst = round % 2 === 1;
    const early = isScriptFirst ? await measureScript(world, files, signal) : undefined;
    const ours = await measureLandfall(world, files);
    const theirs = early ?? (await measureScript(world, files, signal));
    const what = round === 0 ? 'warm-up, not counted' : `round ${round} of ${rounds}`;
    print(`  ${what}: Landfall ${text(ours.proposedAfterMs)}, script ${text(theirs.proposedAfterMs)}`);
    if (round === 0) continue;
    landfall.push(ours);
    script.push(theirs);
  }
  return { landfall, script };
}

function text(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(2)} s`;
}
