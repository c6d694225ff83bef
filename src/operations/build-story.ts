import type { Client } from '@temporalio/client';
import type { BuildOutputs, BuildState } from '../contracts/messages.ts';
import type { RunState, StepState } from '../domain/rollout-state.ts';
import { readStory, type StepLog } from './rollout-story.ts';

/** The name of the build that an id is of. */
export function nameOfBuild(build: string): string {
  return build.split(':')[1] ?? '';
}

/** What became of a build, for whoever had it started. */
export interface BuildStory {
  readonly build: string;
  /** As in lists: `running`, `blocked`, how it ended, or how Temporal ended it from outside. */
  readonly status: string;
  readonly endedAt?: string;
  /** Why it ended so, or is blocked. */
  readonly reason?: string;
  readonly steps: readonly StepState[];
  /** The last lines of what was run. */
  readonly logs: readonly StepLog[];
  readonly outputs: KnownOutputs;
}

/** What is absent is not known (yet). */
interface KnownOutputs extends Omit<BuildOutputs, 'target' | 'tags'> {
  readonly name: string;
  readonly folder?: string;
  /** Full. */
  readonly commit?: string;
  /** What the project says of itself, such as its type, version and base image. */
  readonly facts: Readonly<Record<string, string>>;
  readonly tag?: string;
  /** `repository:tag` */
  readonly image?: string;
  /** All that it is called, or would be. */
  readonly tags: readonly string[];
}

/** @param run default: the newest @throws NotFound, and Unreachable where no worker answers */
export async function readBuildStory(client: Client, build: string, run?: string): Promise<BuildStory> {
  const { row, execution, state, logs } = await readStory(client, build, run);
  const { endedAt, steps } = state;
  const reason = state.reason ?? steps.find(({ status }) => status === 'blocked')?.reason ?? row.reason;
  return {
    ...{ build, steps, logs },
    status: execution === 'running' || execution === 'completed' ? state.status : execution,
    ...(endedAt !== undefined && { endedAt }),
    ...(reason !== undefined && { reason }),
    outputs: outputsOf(state),
  };
}

const nothingYet: BuildOutputs = { built: false, pushed: false };

function outputsOf(state: RunState | BuildState): KnownOutputs {
  const { target, tags: moved, ...told } = 'outputs' in state ? state.outputs : nothingYet;
  if (target === undefined) return { ...told, name: state.service, facts: {}, tags: [] };
  const { name, folder, commit, facts, image, tag, movesLatest } = target;
  const tags = (moved ?? [tag, ...(movesLatest ? ['latest'] : [])]).map((each) => `${image}:${each}`);
  return { ...told, ...{ name, folder, commit, facts, tag, image: `${image}:${tag}`, tags } };
}
