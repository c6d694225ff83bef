import type { ImagePush } from '../domain/image-push.ts';
import type { ProgressStep } from '../domain/progress.ts';
import { nameOf, type RunState, type StepState } from '../domain/rollout-state.ts';
import { recordProgress } from './audit.ts';

/** What a rollout (or a build) says to the log, each change once: what waits asks again and again. */
export class ProgressWriter {
  readonly #receivedAt: string;
  /** By the name of the step, empty for the rollout as a whole. */
  readonly #last = new Map<string, string>();

  constructor({ push }: { readonly push: Pick<ImagePush, 'receivedAt'> }) {
    this.#receivedAt = push.receivedAt;
  }

  /** @param step absent: the rollout as a whole */
  write({ service, image, status, reason }: RunState, step?: StepState): void {
    const name = step === undefined ? '' : nameOf(step);
    const now = step === undefined ? `${status} ${reason}` : `${step.status} ${step.reason}`;
    const before = this.#last.get(name) ?? '';
    // One that waits runs for a moment with each question.
    if (before === now || (step?.status === 'running' && /^(?:running|waiting) /.test(before))) return;
    this.#last.set(name, now);
    recordProgress({
      ...{ service, image, status, sincePushMs: Date.now() - Date.parse(this.#receivedAt) },
      ...(reason !== undefined && { reason }),
      ...(step !== undefined && { step: withoutDetails(step) }),
    });
  }
}

function withoutDetails({ details: _, ...step }: StepState): ProgressStep {
  return step;
}
