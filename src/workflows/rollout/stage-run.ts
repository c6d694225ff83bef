import type { VerifiedImage } from '../../domain/outcomes.ts';
import type { Plan, StagePlan } from '../../domain/plan.ts';
import type { StepName } from '../../domain/rollout-state.ts';
import type { RolloutContext } from './context.ts';

/** One image on its way to one stage: what every step of a stage is about. */
export interface StageRun extends RolloutContext {
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  /** A step of this stage. */
  at(step: StepName): { readonly step: StepName; readonly stage: string };
  /** What every activity of a stage takes. */
  input(): { readonly plan: Plan; readonly stage: StagePlan; readonly image: VerifiedImage };
}

export function stageRunOf(context: RolloutContext, stage: StagePlan, image: VerifiedImage): StageRun {
  return {
    ...context,
    stage,
    image,
    at: (step) => ({ step, stage: stage.name }),
    input: () => ({ plan: context.start.plan, stage, image }),
  };
}
