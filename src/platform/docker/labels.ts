import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import { madeOnce } from '../files/made-once.ts';

/** The execution of a check's activity that something in Docker belongs to. */
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
  /** Which Landfall it belongs to, if several share one daemon. */
  readonly installation?: string;
  /** After this it cannot be needed any more. */
  readonly deadline: Date;
}

/** Whether Temporal still has that activity to do or doing. Throws if Temporal cannot tell: then nothing is removed. */
export type AskPending = (rollout: string, run: string, activity: string) => Promise<boolean>;

export const rolloutLabel = 'landfall.rollout';
const runLabel = 'landfall.run';
const proofLabel = 'landfall.proof';

/** How a compose project of ours is named, which tells its containers from those of a smoke test of the same rollout. */
export const projectPrefix = 'landfall-it-';
const projectPattern = /^(?:[0-9a-f]{12}_)?(landfall-it-[0-9a-f]{16})[-_]/;

/**
 * A container has its image's labels, so labels alone prove nothing. The proof among these is an HMAC over the others and the name, which no
 * image can know: nothing but what this installation made is ever taken for its own.
 * @param name of what is made, see `nameOf`; for a compose project, the project's
 */
export function labelsOf(owner: Ownership, name: string, key: string): Record<string, string> {
  return { ...plainLabels(owner), [proofLabel]: proofOf(owner, name, key) };
}

function proofOf(owner: Ownership, name: string, key: string): string {
  const labels = Object.entries(plainLabels(owner)).sort(([a], [b]) => (a < b ? -1 : 1));
  const text = JSON.stringify([name, labels]);
  return createHmac('sha256', Buffer.from(key, 'hex')).update(text).digest('hex');
}

/** What tells an owner, without a proof. */
export function plainLabels(owner: Ownership): Record<string, string> {
  return {
    [rolloutLabel]: owner.rollout,
    [runLabel]: owner.run,
    'landfall.activity': owner.activity,
    'landfall.attempt': String(owner.attempt),
    'landfall.worker': owner.worker,
    'landfall.deadline': owner.deadline.toISOString(),
    ...(owner.installation !== undefined && { 'landfall.installation': owner.installation }),
  };
}

/** Undefined if the labels are not (all) ours, or do not prove it: what we cannot read, we never remove. @param name of what has them */
export function readLabels(name: string, labels: Readonly<Record<string, string>>, key: string): Ownership | undefined {
  const owner = parseLabels(labels);
  if (owner === undefined) return undefined;
  const [, project] = projectPattern.exec(name) ?? [];
  if (project === undefined && name !== nameOf(owner) && name !== helperNameOf(owner)) return undefined;
  const given = Buffer.from(labels[proofLabel] ?? '');
  const expected = Buffer.from(proofOf(owner, project ?? name, key));
  return given.length === expected.length && timingSafeEqual(given, expected) ? owner : undefined;
}

/** Undefined if they do not tell all of an owner. */
export function parseLabels(labels: Readonly<Record<string, string>>): Ownership | undefined {
  const rollout = labels[rolloutLabel];
  const run = labels[runLabel];
  const activity = labels['landfall.activity'];
  const attempt = Number(labels['landfall.attempt']);
  const worker = labels['landfall.worker'];
  const deadline = new Date(labels['landfall.deadline'] ?? '');
  const installation = labels['landfall.installation'];
  if (rollout === undefined || run === undefined || activity === undefined || worker === undefined) return undefined;
  if (!Number.isInteger(attempt) || Number.isNaN(deadline.getTime())) return undefined;
  return { rollout, run, activity, attempt, worker, deadline, ...(installation !== undefined && { installation }) };
}

/** A name for container and network that no other attempt has. Docker takes letters, digits, `_`, `.` and `-`. */
export function nameOf(smoke: SmokeRun): string {
  const readable = smoke.rollout.replace(/[^a-zA-Z0-9_.-]+/g, '-').slice(0, 120);
  return `landfall-${readable}-${smoke.run}-${smoke.activity.replace(/[^a-zA-Z0-9_.-]+/g, '-')}-${smoke.attempt}`;
}

/** A name for the container that asks the container under test, for a worker that is in one itself. */
export function helperNameOf(smoke: SmokeRun): string {
  return `${nameOf(smoke)}-asks`;
}

/** Whether `left` is what an earlier attempt of `smoke` left. A rollout runs one smoke test at a time. */
export function isEarlier(left: SmokeRun, smoke: SmokeRun): boolean {
  if (left.rollout !== smoke.rollout || left.run !== smoke.run) return false;
  return left.activity !== smoke.activity || left.attempt < smoke.attempt;
}

/**
 * The key by which this installation knows what it made in Docker: 64 hexadecimal digits, made once in the data folder. Where it was lost, the
 * new one proves nothing of what was made before: that is left alone. @throws Error if the file holds something else
 */
export async function ownershipKey(folder: string): Promise<string> {
  const path = join(folder, 'docker-ownership.key');
  const key = await madeOnce(path, () => randomBytes(32).toString('hex'));
  if (/^[0-9a-f]{64}$/.test(key)) return key;
  throw new Error(
    `expected 64 hexadecimal digits in ${path}, found something else: remove the file, and what checks have left in Docker until now is then yours to remove`,
  );
}
