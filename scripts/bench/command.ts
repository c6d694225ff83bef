import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { processorTimes } from './processor.ts';
import { type Aim, median } from './report.ts';
import { copyShipped, startServiceProcess } from './service-process.ts';

const run = promisify(execFile);

/** Processor time of one `landfall list`, in seconds. */
export interface CommandRound {
  readonly clone: number;
  readonly build: number;
}

/** @param root the checkout, built. One more round comes first and is not counted: it compiles. */
export async function measureCommands(root: string, rounds: number): Promise<CommandRound[]> {
  const shipped = await copyShipped(root);
  try {
    const service = await startServiceProcess(shipped.service);
    try {
      const measured: CommandRound[] = [];
      for (let round = 0; round <= rounds; round += 1) {
        const clone = await processorTimeOf(join(root, 'bin/landfall.mjs'), service.folder);
        const build = await processorTimeOf(shipped.command, service.folder);
        if (round > 0) measured.push({ clone, build });
      }
      return measured;
    } finally {
      await service.stop();
    }
  } finally {
    await shipped.remove();
  }
}

async function processorTimeOf(command: string, folder: string): Promise<number> {
  const before = processorTimes('self').children;
  await run(process.execPath, [command, 'list'], { cwd: folder });
  return processorTimes('self').children - before;
}

export function commandAims(rounds: readonly CommandRound[]): Aim[] {
  return [
    {
      id: 'command-clone',
      what: 'seconds of processor time of landfall list, from a clone',
      atMost: 0.4,
      found: median(rounds.map(({ clone }) => clone)),
    },
    {
      id: 'command-build',
      what: 'seconds of processor time of landfall list, from the build',
      atMost: 0.4,
      found: median(rounds.map(({ build }) => build)),
    },
  ];
}
