import type { Environment } from './run.ts';

export interface DemoOptions {
  /** The checkout. */
  readonly root: string;
  readonly env: Environment;
  /** Leaves everything running until Ctrl-C. */
  readonly keep: boolean;
  readonly print: (line: string) => void;
}

/** One demo, whatever it has running. */
interface Demo<World> {
  /** What has started by the time of a failure, it stops itself. */
  start(): Promise<World>;
  /** @returns what was not as expected */
  show(world: World): Promise<readonly string[]>;
  whereToLook(world: World): void;
  stop(world: World): Promise<void>;
}

/** How to stop what has started; the last is stopped first. */
export type Undo = (() => Promise<unknown>)[];

/** @throws where a part does not start; whatever had started by then is stopped */
export async function startUndoable<World>(
  start: (undo: Undo) => Promise<World>,
): Promise<World & { readonly stop: () => Promise<void> }> {
  const undo: Undo = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return { ...(await start(undo)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/**
 * Ctrl-C while it starts counts once it has started: what starts last would be left else.
 * @returns the exit code: 0 only where all outcomes are as they should be
 */
export async function present<World>({ keep, print }: DemoOptions, demo: Demo<World>): Promise<number> {
  let asked = false;
  const interrupted = new Promise<'interrupted'>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => {
        asked = true;
        resolve('interrupted');
      });
    }
  });
  print('Starting:');
  const world = await demo.start();
  try {
    if (asked) return 130;
    const problems = await Promise.race([demo.show(world), interrupted]);
    if (problems === 'interrupted') return 130;
    for (const problem of problems) print(`NOT AS EXPECTED: ${problem}`);
    demo.whereToLook(world);
    if (keep) await interrupted;
    return problems.length === 0 ? 0 : 1;
  } finally {
    print('Stopping and removing everything.');
    await demo.stop(world);
  }
}
