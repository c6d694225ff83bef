import type Docker from 'dockerode';
import type { Ownership } from './labels.ts';
import { type Found, findOurs, remove } from './remove.ts';

const everyMs = 60_000;

/** As much of a pino logger as a sweep needs. */
export interface SweepLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

export interface SweepOptions {
  readonly docker: Docker;
  readonly workerId: string;
  /** As given to `createSmoke`: only what carries it (or this worker's id) is looked up in this Landfall's Temporal. */
  readonly installation?: string;
  /** Whether Temporal still has that activity to do or doing. Throws where Temporal cannot tell: then nothing is removed. */
  readonly isPending: (rollout: string, run: string, activity: string) => Promise<boolean>;
  readonly now: () => Date;
  readonly log: SweepLog;
}

export interface Sweep {
  /** Sweeps now, and every minute after. */
  start(): void;
  /** Ends the schedule, once a sweep that runs is done. */
  stop(): Promise<void>;
  /** @returns the names of what was removed */
  sweepOnce(): Promise<string[]>;
}

/**
 * Removes what smoke tests and integration checks of killed workers left in this daemon: what has our labels and is past its
 * deadline, or whose activity is no longer pending. What another Landfall on the same daemon has before its deadline is left alone,
 * because only that one's Temporal knows whether it is pending.
 */
export function createSweep(options: SweepOptions): Sweep {
  const { docker, log, now } = options;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<unknown> = Promise.resolve();
  let stopped = false;

  async function sweepOnce(): Promise<string[]> {
    const removed: string[] = [];
    for (const found of await findOurs(docker)) if (await sweepUp(found)) removed.push(found.name);
    return removed;
  }

  /** One that cannot be removed does not keep the others. */
  async function sweepUp(found: Found): Promise<boolean> {
    const { kind, name, owner } = found;
    try {
      const reason = await whyRemove(owner, options, now());
      if (reason === undefined) return false;
      await remove(docker, found);
      log.info({ kind, name, rollout: owner.rollout, worker: owner.worker, reason }, 'removed what a check left');
      return true;
    } catch (error) {
      log.warn({ kind, name, rollout: owner.rollout, error }, 'could not sweep; it is tried again in a minute');
      return false;
    }
  }

  function sweepAndSchedule(): void {
    running = sweepOnce()
      .catch((error) => log.warn({ error }, 'could not ask Docker what to sweep; it is asked again in a minute'))
      .then(() => {
        if (!stopped) timer = setTimeout(sweepAndSchedule, everyMs).unref();
      });
  }

  return {
    sweepOnce,
    start: sweepAndSchedule,
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

async function whyRemove(owner: Ownership, options: SweepOptions, now: Date): Promise<string | undefined> {
  if (owner.deadline <= now) return 'past its deadline';
  const sameInstallation = owner.installation !== undefined && owner.installation === options.installation;
  if (!sameInstallation && owner.worker !== options.workerId) return undefined;
  return (await options.isPending(owner.rollout, owner.run, owner.activity)) ? undefined : 'no longer pending';
}
