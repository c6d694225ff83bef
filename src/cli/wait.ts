import type { Command } from 'commander';
import { isApprovalAsked, isSettled, type RolloutState } from '../domain/rollout-state.ts';
import type { RolloutReader } from '../operations/index.ts';
import { parseDuration } from '../settings/amounts.ts';
import type { CliContext } from './context.ts';
import { UsageFailure } from './errors.ts';
import { createTimeline } from './timeline.ts';

export interface WaitOptions {
  readonly wait?: boolean;
  readonly timeout?: string;
  readonly json?: boolean;
}

const defaultTimeout = '30m';

/** For what sets rollouts going: `--wait` says what came of it, by lines and by the exit code. */
export function addWaitOptions(command: Command): Command {
  return command
    .option('--wait', 'follow it until it has ended, or waits for a person; exit code 1 where that is not what was meant')
    .option('--timeout <duration>', 'with --wait: give up after so long, exit code 3', defaultTimeout);
}

/** @throws UsageFailure, before anything is done */
export function timeoutOf({ timeout = defaultTimeout }: WaitOptions): number {
  const milliseconds = parseDuration(timeout);
  if (milliseconds !== undefined) return milliseconds;
  throw new UsageFailure(`--timeout: expected a duration such as 30m, found '${timeout}'`);
}

/** What a delivery should come to. */
export const goodEnds: readonly string[] = ['delivered', 'proposed', 'unchanged'];

/**
 * Prints what happens, unless JSON is asked for.
 * @returns the states in which they have ended, or wait for a person
 * @throws Unreachable where that takes too long
 */
export async function awaitRollouts(
  reader: RolloutReader,
  rollouts: readonly string[],
  options: WaitOptions & { readonly notBefore?: string },
  { print }: CliContext,
): Promise<RolloutState[]> {
  const { follow } = await import('../operations/following.ts');
  const { json = false, notBefore } = options;
  const seen = json ? () => undefined : createTimeline(print);
  const more = notBefore === undefined ? {} : { notBefore };
  return await follow(reader, rollouts, { deadlineMs: timeoutOf(options), seen, until: hasEndedOrAsks, ...more });
}

function hasEndedOrAsks(state: RolloutState): boolean {
  return isSettled(state) || state.steps.some(isApprovalAsked);
}
