import { oneLine } from './inert-text.ts';
import { nameOf, type RunState, type RunStatus, type StepState } from './rollout-state.ts';

/** What has changed of a rollout: one of its steps, or, without `step`, the rollout as a whole. For the log and the figures of its worker. */
export interface ProgressEntry {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Workflow id: of a rollout, a build, or a rollback that an operator asked for. */
  readonly rollout: string;
  readonly service: string;
  readonly image: RunState['image'];
  readonly step?: ProgressStep;
  /** Of the rollout as a whole. */
  readonly status: RunStatus;
  readonly reason?: string;
  /** From when the push was told until now. */
  readonly sincePushMs: number;
}

export type ProgressStep = Omit<StepState, 'details'>;

const marks: Readonly<Record<string, string>> = {
  running: '…',
  waiting: '·',
  passed: '✔',
  blocked: '✘',
  skipped: '-',
  stopped: '-',
};

const longestReason = 1000;

/** `deploy (production) passed (1.2 s): recreated web-1`, without anything that moves a terminal's cursor. */
export function stepSentence(step: ProgressStep): string {
  const { status, startedAt, endedAt, reason } = step;
  const took = endedAt === undefined || startedAt === undefined ? '' : ` (${secondsBetween(startedAt, endedAt).toFixed(1)} s)`;
  const why = status === 'running' || reason === undefined ? '' : `: ${oneLine(reason, longestReason)}`;
  return `${nameOf(step)} ${status}${took}${why}`;
}

/** `delivered: production`: how a rollout has ended, or what it waits for. */
export function verdictSentence(status: RunStatus, reason = 'it waits for a decision'): string {
  return `${status}: ${oneLine(reason, longestReason)}`;
}

/** At a terminal. @param mark as `stepMark` and `verdictMark` give it */
export function markedLine(service: string, mark: string, sentence: string): string {
  return `${service.padEnd(7)} ${mark} ${sentence}`;
}

export function stepMark(status: StepState['status']): string {
  return marks[status] ?? '·';
}

export function verdictMark(status: RunStatus): string {
  return status === 'blocked' ? '■' : (marks[status] ?? '●');
}

export function secondsBetween(from: string, to: string): number {
  return (Date.parse(to) - Date.parse(from)) / 1000;
}
