import { once } from 'node:events';
import type Docker from 'dockerode';
import { ensureDocker } from '../../test/support/docker.ts';
import type { ImageOptions } from '../../test/support/images.ts';
import { startWorld, type World } from '../../test/support/world.ts';
import { type LandfallRound, measureLandfall, measureScript, type ScriptRound } from './contestants.ts';
import { freshImage, type Layout, nextImage, readServiceFiles, service } from './image.ts';
import { type Aim, aimsOf, type Measured, reportText, secondAim } from './report.ts';

export interface RolloutBench {
  /** The checkout. */
  readonly root: string;
  readonly rounds: number;
  readonly layout: Layout;
  readonly print: (line: string) => void;
}

/** From a push to its proposal, of images that nobody has seen. @returns undefined where somebody stopped it */
export async function benchFirstPush(bench: RolloutBench): Promise<Aim[] | undefined> {
  const files = await readServiceFiles(bench.root, bench.layout);
  const measured = await inWorld(bench, (world, signal) => measureRounds(world, () => freshImage(files), bench, signal));
  return measured && aimsOf(measured);
}

/** The same of images of which one small layer is new, while their predecessor runs on this machine. */
export async function benchSecondPush(bench: RolloutBench): Promise<Aim[] | undefined> {
  const files = await readServiceFiles(bench.root, bench.layout);
  const docker = await ensureDocker();
  const measured = await inWorld(bench, async (world, signal) => {
    const digest = await world.push('predecessor', nextImage(files));
    const predecessor = await runPredecessor(docker, `${world.host}/team/web@${digest}`);
    try {
      return await measureRounds(world, () => nextImage(files), bench, signal);
    } finally {
      await predecessor.remove();
    }
  });
  return measured && [secondAim(measured, bench.layout)];
}

/** It keeps its layers in Docker, as what is in production does. */
async function runPredecessor(docker: Docker, image: string) {
  const pulling = await docker.pull(image);
  await new Promise<void>((resolve, reject) =>
    docker.modem.followProgress(pulling, (error) => (error === null ? resolve() : reject(error))),
  );
  const container = await docker.createContainer({ Image: image });
  return {
    async remove(): Promise<void> {
      await container.remove({ force: true, v: true });
      await docker.getImage(image).remove({ force: true });
    },
  };
}

/** @returns undefined where somebody stopped it */
async function inWorld(
  { layout, print }: RolloutBench,
  measure: (world: World, signal: AbortSignal) => Promise<Measured>,
): Promise<Measured | undefined> {
  const stop = new AbortController();
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]).then(() => stop.abort());
  print('Starting a registry, a deployment repository, Temporal and Landfall.');
  const { port, path } = service;
  const smoke = { timeout: '60s', http: { port, path } };
  const world = await startWorld({ forge: 'git', service: { smoke } });
  try {
    await world.start();
    const measured = await Promise.race([measure(world, stop.signal), stopped]);
    if (measured === undefined) return undefined;
    print(`\n${reportText(measured, layout)}`);
    return measured;
  } finally {
    await world.stop();
  }
}

/** The sides take turns at being first, so that neither always has the machine that the other has warmed up. */
async function measureRounds(
  world: World,
  image: () => ImageOptions,
  { rounds, print }: RolloutBench,
  signal: AbortSignal,
): Promise<Measured> {
  const landfall: LandfallRound[] = [];
  const script: ScriptRound[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const isScriptFirst = round % 2 === 1;
    const early = isScriptFirst ? await measureScript(world, image(), signal) : undefined;
    const ours = await measureLandfall(world, image());
    const theirs = early ?? (await measureScript(world, image(), signal));
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
