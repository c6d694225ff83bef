import { setTimeout as pause } from 'node:timers/promises';
import { processorTimes, residentMebibytes } from './processor.ts';
import type { Aim } from './report.ts';
import { copyShipped, startServiceProcess } from './service-process.ts';

/** What a process takes while there is nothing to do. */
export interface IdleProcess {
  readonly mebibytes: number;
  /** Processor time, of one processor's. */
  readonly share: number;
}

export interface Idle {
  readonly landfall: IdleProcess;
  /** Its Temporal server. */
  readonly temporal: IdleProcess;
}

/** Until the rubbish of the start is collected, which takes Node ten seconds and more. */
const settleMs = 25_000;
const measureMs = 30_000;

/** @param root the checkout, built */
export async function measureIdle(root: string): Promise<Idle> {
  const shipped = await copyShipped(root);
  try {
    // The first start compiles, which takes memory of its own.
    await (await startServiceProcess(shipped.service)).stop();
    const service = await startServiceProcess(shipped.service);
    try {
      await pause(settleMs);
      const [landfall, temporal] = await Promise.all([lookAt(service.pid), lookAt(service.temporalPid)]);
      return { landfall, temporal };
    } finally {
      await service.stop();
    }
  } finally {
    await shipped.remove();
  }
}

async function lookAt(pid: number): Promise<IdleProcess> {
  const [before, startedAt] = [processorTimes(pid).own, performance.now()];
  await pause(measureMs);
  const share = ((processorTimes(pid).own - before) * 1_000) / (performance.now() - startedAt);
  return { mebibytes: residentMebibytes(pid), share };
}

export function idleAims({ landfall, temporal }: Idle): Aim[] {
  return [
    { id: 'idle-memory', what: 'MiB of memory of the idle service', atMost: 200, found: Math.round(landfall.mebibytes) },
    {
      id: 'idle-memory-temporal',
      what: 'MiB of memory of its Temporal server',
      atMost: 173,
      found: Math.round(temporal.mebibytes),
    },
    { id: 'idle-processor', what: 'processor time of the idle service, of one processor', atMost: 0.01, found: landfall.share },
    {
      id: 'idle-processor-temporal',
      what: 'processor time of its Temporal server, of one processor',
      atMost: 0.01,
      found: temporal.share,
    },
  ];
}
