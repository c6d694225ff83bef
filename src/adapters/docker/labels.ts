/** Which execution of the smoke activity something in Docker belongs to. */
export interface SmokeRun {
  /** Workflow id of the rollout. */
  readonly rollout: string;
  /** Run id of that workflow. */
  readonly run: string;
  readonly activity: string;
  /** Counted from 1. */
  readonly attempt: number;
}

/** What the labels of a container or network of ours say. */
export interface Ownership extends SmokeRun {
  readonly worker: string;
  /** Which Landfall it belongs to, where several share one daemon. */
  readonly installation?: string;
  /** After this nobody can need it any more. */
  readonly deadline: Date;
}

export const rolloutLabel = 'landfall.rollout';
export const runLabel = 'landfall.run';

export function labelsOf(owner: Ownership): Record<string, string> {
  return {
    [rolloutLabel]: owner.rollout,
    [runLabel]: owner.run,
    'landfall.activity': owner.activity,
    'landfall.attempt': String(owner.attempt),
    'landfall.worker': owner.worker,
    'landfall.deadline': owner.deadline.toISOString(),
    ...(owner.installation === undefined ? {} : { 'landfall.installation': owner.installation }),
  };
}

/** Undefined where the labels are not (all) ours: what we cannot read, we never remove. */
export function readLabels(labels: Readonly<Record<string, string>>): Ownership | undefined {
  const rollout = labels[rolloutLabel];
  const run = labels[runLabel];
  const activity = labels['landfall.activity'];
  const attempt = Number(labels['landfall.attempt']);
  const worker = labels['landfall.worker'];
  const deadline = new Date(labels['landfall.deadline'] ?? '');
  const installation = labels['landfall.installation'];
  if (rollout === undefined || run === undefined || activity === undefined || worker === undefined) return undefined;
  if (!Number.isInteger(attempt) || Number.isNaN(deadline.getTime())) return undefined;
  return { rollout, run, activity, attempt, worker, deadline, ...(installation === undefined ? {} : { installation }) };
}

/** A name for container and network that no other attempt has. Docker takes letters, digits, `_`, `.` and `-`. */
export function nameOf(smoke: SmokeRun): string {
  const readable = smoke.rollout.replace(/[^a-zA-Z0-9_.-]+/g, '-').slice(0, 120);
  return `landfall-${readable}-${smoke.run}-${smoke.activity.replace(/[^a-zA-Z0-9_.-]+/g, '-')}-${smoke.attempt}`;
}

/** Whether `left` is what an earlier attempt of `smoke` left. A rollout runs one smoke test at a time. */
export function isEarlier(left: SmokeRun, smoke: SmokeRun): boolean {
  if (left.rollout !== smoke.rollout || left.run !== smoke.run) return false;
  return left.activity !== smoke.activity || left.attempt < smoke.attempt;
}
