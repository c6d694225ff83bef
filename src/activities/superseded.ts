import { Context } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { CheckInput } from '../contracts/activities/checks.ts';
import { supersededQuery } from '../contracts/messages.ts';
import type { Superseded } from '../domain/outcomes.ts';
import { currentRun } from './boundary.ts';

/** A check that waited no longer than this for a worker was not overtaken meanwhile, as far as it matters; milliseconds. */
const shortWaitMs = 250;
/** Where images of a service come faster than they are checked, none is passed over after so long. */
const longestMs = 2 * 60_000;
const answerWithinMs = 3_000;
const mostRemembered = 1_000;

/** Asked just before a check begins. @returns undefined where it has to */
export type AskSuperseded = (input: CheckInput) => Promise<Superseded | undefined>;

/**
 * Checks are what a rollout costs, so one that a newer image of its service overtook while it waited for a worker ends there. What has begun goes
 * on: else a service that is pushed to all the time would never have an image checked.
 */
export function createAskSuperseded(client: Client, now: () => number = Date.now): AskSuperseded {
  /** Since when nothing but superseded images of a service came; by its name. */
  const since = new Map<string, number>();
  /** Runs of which a check has begun: then the others are done, too. */
  const begun = new Set<string>();

  const begin = (run: string, service: string): undefined => {
    since.delete(service);
    begun.add(run);
    const [oldest] = begun;
    if (oldest !== undefined && begun.size > mostRemembered) begun.delete(oldest);
  };

  return async (input) => {
    const { run } = currentRun();
    const { service } = input.plan;
    // It is tried again: it had begun.
    if (begun.has(run) || Context.current().info.attempt > 1) return begin(run, service);
    const by = await supersededBy(client, input, now());
    if (by === undefined) return begin(run, service);
    const first = since.get(service) ?? now();
    if (now() - first > longestMs) return begin(run, service);
    since.set(service, first);
    return { kind: 'superseded', by };
  };
}

async function supersededBy(client: Client, { supersededBy }: CheckInput, now: number): Promise<string | undefined> {
  const { currentAttemptScheduledTimestampMs: scheduled } = Context.current().info;
  if (supersededBy !== undefined || now - scheduled < shortWaitMs) return supersededBy;
  const { rollout, run } = currentRun();
  const asked = client.withDeadline(Date.now() + answerWithinMs, () =>
    client.workflow.getHandle(rollout, run).query(supersededQuery),
  );
  // Whoever cannot tell does not keep the image from being checked.
  return await asked.catch(() => undefined);
}
