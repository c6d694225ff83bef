import { markedLine, stepMark, stepSentence, verdictMark, verdictSentence } from '../domain/progress.ts';
import { isSettled, nameOf, type RunState } from '../domain/rollout-state.ts';

/** What happened, and when: ISO 8601, absent where the rollout does not say. */
interface StepChange {
  readonly line: string;
  readonly at?: string | undefined;
}

/**
 * What happens to rollouts, one line for each change of a step.
 * @param since `now`: seconds from this call on; `start`: from the beginning of each rollout, for what may be long over
 * @returns to be told of each state that was seen; prints what is new in it
 */
export function createTimeline(print: (line: string) => void, since: 'now' | 'start' = 'now'): (state: RunState) => void {
  const calledAt = Date.now();
  const shown = new Map<string, string>();
  return (state) => {
    for (const { line, at } of news(state, shown)) {
      const now = at === undefined || since === 'now' ? Date.now() : Date.parse(at);
      print(`${elapsed(now - (since === 'now' ? calledAt : Date.parse(state.startedAt)))}  ${line}`);
    }
  };
}

function news(state: RunState, shown: Map<string, string>): StepChange[] {
  const { service, status, reason, steps, startedAt } = state;
  const isNew = (what: string, now: string): boolean => {
    // Not by its image: tag and digest of a build become known on the way.
    const key = `${service} ${startedAt} ${what}`;
    if (shown.get(key) === now) return false;
    shown.set(key, now);
    return true;
  };
  const lines = steps
    .filter((step) => step.status !== 'pending' && isNew(nameOf(step), step.status))
    // Most have one stage.
    .map(
      ({ stage: _, ...step }): StepChange => ({
        line: markedLine(service, stepMark(step.status), stepSentence(step)),
        at: step.endedAt ?? step.startedAt,
      }),
    );
  if (!isSettled(state) || !isNew('', status)) return lines;
  const line = markedLine(service, verdictMark(status), verdictSentence(status, reason));
  return [...lines, { line, at: state.endedAt ?? state.changedAt }];
}

function elapsed(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(1).padStart(6)} s`;
}
