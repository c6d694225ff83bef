import { setTimeout as pause } from 'node:timers/promises';
import type { Digest } from '../../src/domain/image-reference.ts';
import { branchOf } from '../../src/domain/proposal.ts';
import { foreignFile, type Push } from './history.ts';
import { imageOf, kinds } from './images.ts';
import type { Random } from './random.ts';
import { type Service, type Site, services } from './site.ts';

/** What was done to the site. */
export interface Chaos {
  readonly pushes: readonly Push[];
  /** How often what was killed, redelivered or committed. */
  readonly deeds: Readonly<Record<string, number>>;
  /** Landfall ended without being killed, with its last words, or answered as it never should. */
  readonly failures: readonly string[];
}

/**
 * Pushes, kills, repeats old deliveries, commits to branches that are not its own, and takes servers away, until the time is over.
 * Afterwards everything runs again.
 */
export async function makeChaos(site: Site, random: Random, minutes: number, say: (line: string) => void): Promise<Chaos> {
  const until = Date.now() + minutes * 60_000;
  const pushes: Push[] = [];
  const failures: string[] = [];
  const deeds: Record<string, number> = {};
  const did = (deed: string): void => {
    deeds[deed] = (deeds[deed] ?? 0) + 1;
    say(deed);
  };

  const deliver = async (push: Push): Promise<void> => {
    const status = await site.deliver(push.service, push.digest);
    if (status === 202) push.acknowledged = true;
    if (status !== undefined && status >= 500 && status !== 503) failures.push(`a delivery was answered with ${status}`);
  };
  const pushAgain = async (): Promise<void> => {
    const service = random.pick(services);
    const kind = random.pick(kinds);
    const digest = await site.push(service, imageOf(kind, `${pushes.length}`));
    const push = { service, kind, digest, acknowledged: false };
    pushes.push(push);
    say(`${service}: pushed ${kind} ${digest.slice(7, 19)}`);
    await deliver(push);
  };
  const repeatDelivery = async (): Promise<void> => {
    const old = pushes[random.between(0, pushes.length)];
    if (old !== undefined) await deliver(old);
    did('an old delivery repeated');
  };
  // Whether the branch is there yet or not.
  const commitToOurs = async (): Promise<void> => {
    const branch = branchOf(random.pick(services), 'production');
    const forged = random.chance(0.5) ? '\n\nLandfall-Rollout: rollout:web:latest:000000000000' : '';
    await site.remote.commit(branch, { [foreignFile]: 'privileged\n' }, `theirs${forged}`, 'Mallory').catch(() => undefined);
    did("somebody committed to Landfall's branch");
  };
  const commitToBase = async (): Promise<void> => {
    await site.remote.commit('main', { 'README.md': `${Date.now()}\n` }, 'ours').catch(() => undefined);
    did('somebody committed to the base branch');
  };
  const killLandfall = async (): Promise<void> => {
    failures.push(...failuresOf(site));
    await site.landfall.kill();
    await site.start();
    did('Landfall killed');
  };
  const takeTemporalAway = async (): Promise<void> => {
    await site.temporal.kill();
    await pause(random.between(0, 3_000));
    await site.temporal.start();
    did('Temporal killed');
  };
  const freezeTemporal = async (): Promise<void> => {
    site.temporal.freeze();
    await pause(random.between(1_000, 4_000));
    site.temporal.thaw();
    did('Temporal frozen');
  };
  const takeRegistryAway = async (): Promise<void> => {
    await site.withoutRegistry(() => pause(random.between(1_000, 4_000)));
    did('registry taken away');
  };

  /** One thing after the other, with pauses of some length between them. */
  const every = async (min: number, max: number, deed: () => Promise<void>): Promise<void> => {
    for (;;) {
      await pause(random.between(min, max));
      if (Date.now() > until) return;
      await deed();
    }
  };
  const kill = () =>
    random.pick([killLandfall, killLandfall, killLandfall, killLandfall, takeTemporalAway, freezeTemporal] as const)();
  // The registry is not pushed to while it is away.
  const use = () =>
    random.pick([pushAgain, pushAgain, pushAgain, pushAgain, repeatDelivery, repeatDelivery, takeRegistryAway] as const)();
  const commit = () => random.pick([commitToOurs, commitToOurs, commitToBase] as const)();
  await Promise.all([every(4_000, 15_000, kill), every(500, 6_000, use), every(2_000, 12_000, commit)]);
  return { pushes, deeds, failures };
}

/** What Landfall itself has done wrong since it was started last, as far as its output tells. */
export function failuresOf({ landfall }: Site): string[] {
  const output = landfall.output();
  const defects = output.split('\n').filter((line) => line.includes('a defect of'));
  return isAlive(landfall.pid) ? defects : [...defects, `Landfall ended by itself:\n${output.slice(-4_000)}`];
}

/** Pushes a good image to every service. */
export async function pushAll(site: Site, version: string): Promise<ReadonlyMap<Service, Digest>> {
  const pushed = services.map(async (service) => [service, await site.push(service, imageOf('good', version))] as const);
  return new Map(await Promise.all(pushed));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
