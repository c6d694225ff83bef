import { isSettled, nameOf, type RolloutState, type StepState } from '../domain/rollout-state.ts';
import { plain } from './terminal.ts';

/**
 * What happens to rollouts, one line for each change of a step.
 * @returns to be told of each state that was seen; prints what is new in it
 */
export function createTimeline(print: (line: string) => void): (state: RolloutState) => void {
  const startedAt = Date.now();
  const shown = new Map<string, string>();
  return (state) => {
    for (const line of news(state, shown)) print(`${elapsed(startedAt)}  ${line}`);
  };
}

function news(state: RolloutState, shown: Map<string, string>): string[] {
  const { service, image, status, reason, steps, startedAt } = state;
  const isNew = (what: string, now: string): boolean => {
    const key = `${service} ${image.tag} ${image.digest} ${startedAt} ${what}`;
    if (shown.get(key) === now) return false;
    shown.set(key, now);
    return true;
  };
  const lines = steps
    .filter((step) => step.status !== 'pending' && isNew(nameOf(step), step.status))
    .map((step) => stepLine(service, step));
  if (!isSettled(state) || !isNew('', status)) return lines;
  const mark = status === 'blocked' ? '■' : '●';
  return [...lines, `${service.padEnd(8)}${mark} ${status}: ${plain(reason ?? 'it waits for a decision')}`];
}

const marks: Partial<Record<StepState['status'], string>> = {
  running: '…',
  passed: '✔',
  blocked: '✘',
  skipped: '-',
  stopped: '-',
};

function stepLine(service: string, step: StepState): string {
  const took = step.endedAt === undefined || step.startedAt === undefined ? '' : ` (${seconds(step.startedAt, step.endedAt)} s)`;
  const reason = step.status === 'running' || step.reason === undefined ? '' : `: ${plain(step.reason)}`;
  return `${service.padEnd(8)}${marks[step.status] ?? '·'} ${step.step} ${step.status}${took}${reason}`;
}

function seconds(from: string, to: string): string {
  return ((Date.parse(to) - Date.parse(from)) / 1000).toFixed(1);
}

function elapsed(startedAt: number): string {
  return `${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s`;
}
