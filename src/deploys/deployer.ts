import type { Deployed, OtherChanges, RunningImage, VerifiedImage } from '../domain/outcomes.ts';
import type { DeployPlan, Plan, StagePlan } from '../domain/plan.ts';

/**
 * One way of bringing an image to where it runs. Every call may be cut off anywhere and repeated: what it would do a second time, it
 * finds done, and what an earlier try left half-way, it finishes or undoes.
 *
 * Errors: `Refusal` `DeployRefused` (nothing was changed), `DeployFailed` (something was); `RateLimit`; anything else is something
 * broken, to be tried again.
 */
export interface Deployer<Deploy extends DeployPlan = DeployPlan> {
  /** What runs now; empty if nothing does yet. */
  running(target: Target<Deploy>): Promise<readonly RunningImage[]>;

  /**
   * Looks, before anything is merged, whether a deploy would be refused, and what it would change besides the image. Changes nothing.
   * Absent: nobody can tell.
   * @returns undefined if it would change nothing else
   * @throws Refusal `DeployRefused`; `OtherChanges` if a person has to decide
   */
  foresee?(target: Target<Deploy>, foreseeing: Foreseeing): Promise<OtherChanges | undefined>;

  /** Brings the image there, unless its digest runs already. */
  deploy(target: Target<Deploy>, work: Work): Promise<Deployed>;

  /** Brings back what ran before, from what is on the host if it can: without registry and forge. */
  restore(target: Target<Deploy>, before: readonly RunningImage[], work: Work): Promise<Deployed>;

  /** Removes what was kept to go back to. */
  settle(target: Target<Deploy>): Promise<void>;
}

export interface Target<Deploy extends DeployPlan = DeployPlan> {
  readonly plan: Plan;
  readonly stage: StagePlan;
  readonly deploy: Deploy;
  readonly image: VerifiedImage;
  /** Workflow id of the rollout or rollback that asks. */
  readonly rollout: string;
}

export interface Foreseeing {
  /** Fingerprint of the other changes that a person has said yes to; absent: nobody did. */
  readonly accepted?: string;
  readonly signal: AbortSignal;
}

export interface Work extends Foreseeing {
  /** Names of the containers that are meant; absent: all. */
  readonly only?: readonly string[];
  /** The turn that allows it, for labels and logs; that it is not a passed one was checked before. */
  readonly turn: number;
  /** When the step was first asked for, in milliseconds since 1970: what an earlier try of it did is not older. Absent: unknown. */
  readonly since?: number;
}
