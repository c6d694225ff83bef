import type Docker from 'dockerode';
import type { Log } from '../../domain/log.ts';
import { everyMinute } from '../every-minute.ts';
import type { AskPending, Ownership } from './labels.ts';
import { findLabelled, type OwnedResource, remove } from './remove.ts';

const unprovenText =
  'has the labels of a check, but they do not prove that this Landfall made it, so it is left alone: if nobody needs it, remove it yourself';

export interface SweepOptions {
  readonly docker: Docker;
  readonly workerId: string;
  /** As given to `createSmoke`: only what carries it (or this worker's id) is looked up in this Landfall's Temporal. */
  readonly installation?: string;
  /** What this installation made is known by it: see ownershipKey. */
  readonly ownershipKey: string;
  readonly isPending: AskPending;
  readonly now: () => Date;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/**
 * Removes what checks of killed workers left in this daemon: what is past its deadline, or whose activity is no longer pending (of another
 * Landfall on the same daemon, only its own Temporal knows that). What has our labels without the proof is never touched: an image can
 * say them.
 */
export function createSweep(options: SweepOptions) {
  const { docker, log } = options;
  let told: ReadonlySet<string> = new Set();

  /** @returns the names of what was removed */
  async function sweepOnce(): Promise<string[]> {
    const removed: string[] = [];
    const { ours, unproven } = await findLabelled(docker, options.ownershipKey);
    for (const { kind, id, name } of unproven) if (!told.has(id)) log.warn({ kind, name }, unprovenText);
    told = new Set(unproven.map(({ id }) => id));
    for (const found of ours) if (await sweepUp(found)) removed.push(found.name);
    return removed;
  }

  /** One that cannot be removed does not keep the others. */
  async function sweepUp(found: OwnedResource): Promise<boolean> {
    const { kind, name, owner } = found;
    try {
      const reason = await whyRemove(owner, options);
      if (reason === undefined) return false;
      await remove(docker, found);
      log.info({ kind, name, rollout: owner.rollout, worker: owner.worker, reason }, 'removed what a check left');
      return true;
    } catch (error) {
      log.warn({ kind, name, rollout: owner.rollout, error }, 'could not sweep; it is tried again in a minute');
      return false;
    }
  }

  const failed = (error: unknown) => log.warn({ error }, 'could not ask Docker what to sweep; it is asked again each minute');
  return { sweepOnce, ...everyMinute(sweepOnce, failed) };
}

async function whyRemove(owner: Ownership, options: SweepOptions): Promise<string | undefined> {
  if (owner.deadline <= options.now()) return 'past its deadline';
  const sameInstallation = owner.installation !== undefined && owner.installation === options.installation;
  if (!sameInstallation && owner.worker !== options.workerId) return undefined;
  return (await options.isPending(owner.rollout, owner.run, owner.activity)) ? undefined : 'no longer pending';
}
