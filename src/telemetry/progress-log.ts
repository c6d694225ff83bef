import type { Log } from '../domain/log.ts';
import { type ProgressEntry, secondsBetween, stepMark, stepSentence, verdictMark, verdictSentence } from '../domain/progress.ts';
import { isSettled, type RunEnd } from '../domain/rollout-state.ts';

type Level = 'debug' | 'info' | 'warn';

/** Ends that somebody should hear of. */
const warningEnds: readonly string[] = ['rejected', 'expired', 'rolled-back', 'failed'] satisfies readonly RunEnd[];

/**
 * One line of the log for each step and verdict. `mark` is for terminals.
 * @param showsBeginnings of steps, which whoever looks on waits for; in a collector they are only half of the line that follows
 */
export function createProgressLog(log: Pick<Log, Level>, showsBeginnings: boolean): (entry: ProgressEntry) => void {
  return ({ rollout, service, image, step, status, reason }) => {
    const about = { rollout, service, image: `${image.repository}:${image.tag}`, digest: image.digest };
    if (step === undefined) {
      const level = warningEnds.includes(status) ? 'warn' : 'info';
      const kind = isSettled({ status }) ? { verdict: status } : { status };
      return log[level]({ ...about, ...kind, reason, mark: verdictMark(status) }, verdictSentence(status, reason));
    }
    const { startedAt, endedAt, step: name, stage, failure } = step;
    const seconds = startedAt === undefined || endedAt === undefined ? undefined : secondsBetween(startedAt, endedAt);
    const fields = { step: name, stage, status: step.status, seconds, failure, reason: step.reason, mark: stepMark(step.status) };
    log[levelOf(step.status, showsBeginnings)]({ ...about, ...fields }, stepSentence(step));
  };
}

function levelOf(status: string, showsBeginnings: boolean): Level {
  if (status === 'running' && !showsBeginnings) return 'debug';
  return status === 'blocked' ? 'warn' : 'info';
}
