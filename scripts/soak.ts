import { makeChaos, pushAll } from './soak/chaos.ts';
import { startOperator } from './soak/operator.ts';
import { createRandom } from './soak/random.ts';
import { startSite } from './soak/site.ts';
import { judge, untilSettled } from './soak/verdict.ts';

export interface SoakOptions {
  /** The checkout. */
  readonly root: string;
  /** How long it goes wrong; getting ready and settling come before and after. */
  readonly minutes: number;
  /** Determines what is pushed and killed in which order; when each comes depends on the machine. */
  readonly seed: number;
  readonly print: (line: string) => void;
}

/**
 * Five services are pushed to, good images and bad ones, while Landfall, Temporal and the registry are killed at random and somebody
 * commits to Landfall's branches. Afterwards nothing may be lost, done twice, left, or stuck.
 * @returns what went wrong; empty where all went right
 */
export async function runSoak({ root, minutes, seed, print }: SoakOptions): Promise<readonly string[]> {
  const begunAt = Date.now();
  const say = (line: string): void => print(`${((Date.now() - begunAt) / 1_000).toFixed(1).padStart(6)} s  ${line}`);
  print(`Five services, ${minutes} min of random kills, seed ${seed}.`);
  const site = await startSite(root);
  try {
    const unready = await untilSettled(site, await pushAll(site, 'first'));
    if (unready.length > 0) return unready;
    say('every service runs its first image');
    const operator = startOperator(site, say);
    const chaos = await makeChaos(site, createRandom(seed), minutes, say);
    say('no more kills: the last image of every service is pushed');
    const last = await pushAll(site, 'last');
    const stuck = await untilSettled(site, last);
    await operator.leave();
    const { ends, faults } = await judge(site, chaos, last);
    say('settled');
    print(`pushed: ${chaos.pushes.length}; done: ${counts(chaos.deeds)}`);
    print(`ends of rollouts: ${counts(ends)}`);
    print(`decisions: ${counts(operator.decisions)}`);
    const all = [...stuck, ...faults];
    print(all.length === 0 ? 'Nothing was lost, done twice, left, or stuck.' : `${all.length} faults:\n${all.join('\n')}`);
    return all;
  } finally {
    await site.stop();
  }
}

function counts(of: Readonly<Record<string, number>>): string {
  const each = Object.entries(of).sort(([, a], [, b]) => b - a);
  return each.map(([name, count]) => `${name} ${count}`).join(', ') || 'none';
}
