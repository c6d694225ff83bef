import type { Client } from '@temporalio/client';
import { type Evidence, isEvidence } from '../domain/evidence.ts';
import { type OpenQuestion, openQuestions, standingOf } from '../domain/open-questions.ts';
import type { Reading, ReadingPoint } from '../domain/outcomes.ts';
import type { RunState, StepState } from '../domain/rollout-state.ts';
import { type Retry, type RolloutRow, readRollout, rolloutRow } from './rollouts.ts';

/** One rollout with all that its steps have told, taken apart: steps, evidence, log lines, readings, artifacts. */
export interface RolloutStory {
  /** As in lists. */
  readonly row: RolloutRow;
  /** `running`, `completed`, or how Temporal ended it from outside. */
  readonly execution: string;
  readonly state: RunState;
  readonly retries: readonly Retry[];
  readonly questions: readonly OpenQuestion[];
  /** What it is at, in one sentence. Absent: it has ended. */
  readonly standing?: string;
  /** What the checks found. */
  readonly findings: readonly StepFindings[];
  readonly logs: readonly StepLog[];
  readonly readings: readonly StepReadings[];
  /** Paths in the artifacts folder: reports and SBOMs. */
  readonly artifacts: readonly string[];
}

type OfStep = Pick<StepState, 'step' | 'stage'>;

export interface StepFindings extends OfStep {
  readonly evidence: readonly Evidence[];
}

/** The last lines that a container wrote. */
export interface StepLog extends OfStep {
  readonly log: string;
}

export interface StepReadings extends OfStep {
  readonly count: number;
  readonly failed: number;
  readonly slowestMs: number;
  /** The newest, oldest first. */
  readonly recent: readonly ReadingPoint[];
  /** The failed ones that decided. */
  readonly failures: readonly Reading[];
}

/** @param run default: the newest @throws NotFound, and Unreachable where no worker answers */
export async function readStory(client: Client, rollout: string, run?: string): Promise<RolloutStory> {
  const [row, { execution, state, retries }] = await Promise.all([
    rolloutRow(client, rollout, run),
    readRollout(client, rollout, undefined, run),
  ]);
  const hasEnded = execution !== 'running' || state.endedAt !== undefined;
  const standing = hasEnded ? undefined : standingOf(state);
  const findings = state.steps.flatMap(findingsOf);
  return {
    ...{ row, execution, state, retries, findings },
    questions: hasEnded ? [] : openQuestions(rollout, state),
    ...(standing !== undefined && { standing }),
    logs: state.steps.flatMap(logsOf),
    readings: state.steps.flatMap(readingsOf),
    artifacts: [...new Set(findings.flatMap(({ evidence }) => evidence.flatMap(({ artifacts = [] }) => artifacts)))],
  };
}

function placeOf({ step, stage }: StepState): OfStep {
  return { step, ...(stage !== undefined && { stage }) };
}

/** Details come from workers of any version: what has another shape is shown by nobody. Those of a failure are in lists. */
function detailsOf({ details }: StepState): unknown[] {
  const flat: unknown[] = Array.isArray(details) ? details.flat(2) : [details];
  return flat.flatMap((one) => (hasKey(one, 'now') ? [one.now].flat() : [one]));
}

function findingsOf(step: StepState): StepFindings[] {
  const evidence = detailsOf(step).filter(isEvidence);
  return evidence.length === 0 ? [] : [{ ...placeOf(step), evidence }];
}

function logsOf(step: StepState): StepLog[] {
  const logs = detailsOf(step).flatMap((one) => (hasKey(one, 'log') && typeof one.log === 'string' ? [one.log] : []));
  const log = logs.join('\n');
  return log === '' ? [] : [{ ...placeOf(step), log }];
}

function readingsOf(step: StepState): StepReadings[] {
  return detailsOf(step).flatMap((one) => {
    if (!hasKey(one, 'readings') || !hasKey(one, 'slowestMs')) return [];
    const { readings, failed, slowestMs, recent, failures, last } = one;
    return [
      {
        ...placeOf(step),
        ...{ count: numberIn(readings), failed: numberIn(failed), slowestMs: numberIn(slowestMs) },
        recent: Array.isArray(recent) ? recent.filter(isPoint) : [last].filter(isPoint),
        failures: Array.isArray(failures) ? failures.filter(isReading) : [],
      },
    ];
  });
}

function hasKey<Key extends string>(value: unknown, key: Key): value is { readonly [name in Key | string]: unknown } {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key);
}

function numberIn(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

function isPoint(value: unknown): value is ReadingPoint {
  if (!hasKey(value, 'at') || !hasKey(value, 'tookMs')) return false;
  return typeof value.at === 'string' && typeof value.healthy === 'boolean' && typeof value.tookMs === 'number';
}

function isReading(value: unknown): value is Reading {
  return isPoint(value) && 'text' in value && typeof value.text === 'string';
}
