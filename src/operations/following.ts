import { setTimeout as pause } from 'node:timers/promises';
import { isSettled, type RolloutState, type RunState } from '../domain/rollout-state.ts';
import { NotFound, OperationError, Unreachable } from './errors.ts';
import type { RolloutNow } from './rollouts.ts';

export interface FollowOptions<State extends RunState> {
  readonly deadlineMs: number;
  /** ISO 8601: a run that began before is an earlier one. */
  readonly notBefore?: string;
  readonly signal?: AbortSignal;
  /** Is told of each state that was seen, changed or not. */
  readonly seen: (state: State) => void;
  /** When it is enough. */
  readonly until?: (state: State) => boolean;
}

/** Reads one rollout, or one build, and says how long to wait before it is read again. */
export interface RolloutReader {
  readRollout(rollout: string): Promise<RolloutNow>;
  readonly readEveryMs: number;
}

/**
 * Follows rollouts until each of them has ended, or waits for an operator's decision.
 * @typeParam State of rollouts, or of builds
 * @param rollouts their ids; they need not have started yet
 * @returns their last states, in the order given
 * @throws Unreachable where that takes longer than the deadline, with what each of them waits for
 */
export async function follow<State extends RunState = RolloutState>(
  reader: RolloutReader,
  rollouts: readonly string[],
  options: FollowOptions<State>,
): Promise<State[]> {
  const { deadlineMs, notBefore = '', signal, seen, until = isSettled } = options;
  const giveUpAt = Date.now() + deadlineMs;
  for (;;) {
    const found = await Promise.all(rollouts.map((rollout) => nowOf<State>(reader, rollout)));
    const known = found.map((now) => (now && now.state.startedAt < notBefore ? undefined : now));
    for (const now of known) if (now !== undefined) seen(now.state);
    const enough = known.flatMap((now) => (now !== undefined && (wasEnded(now) || until(now.state)) ? [now.state] : []));
    if (enough.length === rollouts.length) return enough;
    if (Date.now() > giveUpAt) {
      const waiting = await Promise.all(rollouts.map((rollout) => standing(reader, rollout)));
      throw new Unreachable(`expected an end, or a question, within ${deadlineMs / 1000} s, found ${waiting.join(', ')}`);
    }
    await pause(reader.readEveryMs, undefined, signal && { signal });
  }
}

/** From outside, so that its state says nothing of it. */
function wasEnded({ execution }: RolloutNow): boolean {
  return execution !== 'running' && execution !== 'completed';
}

/** Undefined before it has started, and while nobody can answer. What is refused stays so: whoever asks may not, or it is not believed. */
async function nowOf<State>(
  reader: RolloutReader,
  rollout: string,
): Promise<(RolloutNow & { readonly state: State }) | undefined> {
  try {
    return (await reader.readRollout(rollout)) as RolloutNow & { readonly state: State };
  } catch (error) {
    if (error instanceof NotFound || error instanceof Unreachable) return undefined;
    throw error;
  }
}

/** What a rollout is at, and why it does not go on: `rollout:web:… running at verify (attempt 3: no route to host)`. */
async function standing(reader: RolloutReader, rollout: string): Promise<string> {
  try {
    const { state, retries } = await reader.readRollout(rollout);
    const current = state.steps.findLast(({ status }) => status === 'running' || status === 'waiting');
    const [retry] = retries;
    const why = retry === undefined ? current?.reason : `attempt ${retry.attempt}: ${retry.lastFailure}`;
    const step = current && ` at ${current.step}${why === undefined ? '' : ` (${why})`}`;
    return `${rollout} ${state.status}${step ?? ''}`;
  } catch (error) {
    if (error instanceof OperationError) return `${rollout} not started`;
    throw error;
  }
}
