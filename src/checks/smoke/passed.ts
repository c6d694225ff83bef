import { quoted } from '../../domain/evidence.ts';
import type { Checked } from '../../domain/outcomes.ts';
import type { SmokePlan } from './plan.ts';

interface PassedRun {
  readonly network: SmokePlan['network'] | undefined;
  /** Where it ran: `on` `linux/amd64`, `in a pod on` `node-1`. */
  readonly before: string;
  readonly place: string;
  /** Last lines, masked. */
  readonly log: string;
}

/** What is said of an image that became ready. */
export function smokePassed(by: string, afterMs: number, { before, place, log, network }: PassedRun): Checked {
  const after = `after ${(afterMs / 1000).toFixed(1)} s`;
  const where = network === 'full' ? ', with the whole network' : '';
  const text = `ready ${after} (${quoted(by)}) ${before} ${quoted(place)}${where}`;
  const short = `ready ${after} (${by}) ${before} ${place}${where}`;
  const evidence = [{ title: 'Smoke-tested', passed: true, text, short, log }];
  return { kind: 'checked', text: `ready by ${by} ${after} ${before} ${place}${where}`, evidence };
}
