import { join } from 'node:path';
import { type Aim, median } from './report.ts';
import { copyShipped, startServiceProcess } from './service-process.ts';

/** How long the service took until it served, with a Temporal server of its own in a new folder. */
export interface StartRound {
  readonly cloneMs: number;
  readonly buildMs: number;
}

/** @param root the checkout, built. One more round comes first and is not counted: it bundles the workflows, and compiles. */
export async function measureStarts(root: string, rounds: number): Promise<StartRound[]> {
  const shipped = await copyShipped(root);
  const measured: StartRound[] = [];
  try {
    for (let round = 0; round <= rounds; round += 1) {
      const cloneMs = await startOnce(join(root, 'worker.ts'));
      const buildMs = await startOnce(shipped.service);
      if (round > 0) measured.push({ cloneMs, buildMs });
    }
    return measured;
  } finally {
    await shipped.remove();
  }
}

async function startOnce(program: string): Promise<number> {
  const service = await startServiceProcess(program);
  await service.stop();
  return service.tookMs;
}

export function startAims(rounds: readonly StartRound[]): Aim[] {
  const secondsOf = (of: (round: StartRound) => number) => median(rounds.map(of)) / 1_000;
  return [
    { id: 'start-clone', what: 'seconds until it serves, from a clone', atMost: 3, found: secondsOf(({ cloneMs }) => cloneMs) },
    {
      id: 'start-build',
      what: 'seconds until it serves, from the build',
      atMost: 1.5,
      found: secondsOf(({ buildMs }) => buildMs),
    },
  ];
}
