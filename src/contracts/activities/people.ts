import type { Notice } from '../../domain/notice.ts';
import type { RateLimited } from '../../domain/outcomes.ts';
import type { Person } from '../../domain/person.ts';
import type { NotifierPlan } from '../../domain/plan.ts';
import type { Decision } from '../../domain/rollout-state.ts';
import type { NoticeRequest } from '../messages.ts';

export interface ProofInput {
  /** Workflow id and run that the decision is about. */
  readonly rollout: string;
  readonly runId: string;
  readonly verb: string;
  /** As it came in the update: the proof is about every word of it. */
  readonly decision: Decision;
}

export interface DecisionActivities {
  /**
   * Who made a decision: the operator whose token made its proof, who has logged in, else the name as it was typed, unverified. Called as a
   * local activity.
   * @throws ApplicationFailure `DecisionRefused` where there is a proof and it is wrong, or none and the name is that of somebody with a token
   */
  whoDecided(input: ProofInput): Promise<Person>;
}

/** By what a later notice finds the earlier message. JSON-safe, small. */
type Thread = Readonly<Record<string, string>>;

export interface SendInput {
  readonly notifier: NotifierPlan;
  readonly notice: Notice;
  /** What an earlier notice of the same rollout to the same notifier answered. */
  readonly thread?: Thread;
}

export interface NotifyActivities {
  /** Hands a notice to `notify:ROLLOUT`, which is started where it does not run; called as a local activity. */
  queueNotice(telling: NoticeRequest & { readonly rollout: string }): Promise<void>;
  /** @returns the thread for later ones, if it is a new one. @throws ApplicationFailure such as `NoticeRefused` if it will never be taken */
  sendNotice(input: SendInput): Promise<{ readonly kind: 'sent'; readonly thread?: Thread } | RateLimited>;
}
