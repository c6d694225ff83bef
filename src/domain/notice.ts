import type { ImageIdentity } from './outcomes.ts';
import type { NoticeEvent } from './plan.ts';
import type { Waiver } from './rollout-state.ts';

/** One thing that people are told about a rollout. JSON-safe, at most a few KiB, without secrets. */
export interface Notice {
  readonly event: NoticeEvent;
  /** Workflow id, and the run of it. */
  readonly rollout: string;
  readonly runId: string;
  /** Rises within a run, so that a notice that is sent twice is one. */
  readonly number: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly service: string;
  /** Absent for what is about the whole rollout. */
  readonly stage?: string;
  readonly image: ImageIdentity;
  /** Why, or what came out, in a sentence. */
  readonly reason?: string;
  /** What a person should do now; absent: nothing. */
  readonly advice?: string;
  /** What an operator skipped of this rollout so far. Absent: nothing. */
  readonly skipped?: readonly Waiver[];
  /** Of `healthy`: it was not watched, because the stage has no watch or because it was skipped. */
  readonly watched?: false;
  /** The newest pull request. */
  readonly proposal?: string;
  readonly commit?: string;
  /** `owner/name` or URL of the source repository. */
  readonly sourceRepository?: string;
  readonly actor?: string;
}
