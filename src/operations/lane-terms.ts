import { DecisionRefused, mayRollBack, type RollbackTerms, rollbackTerms } from '../domain/lane/decisions.ts';
import type { LaneState } from '../domain/lane/state.ts';
import { NotFound, Refused } from './errors.ts';

/** What the memory of a lane tells, whoever has read it. */

/** The rollout that brought what a stage runs. @throws NotFound where nothing is known of what it runs */
export function rolloutIn({ stages }: Pick<LaneState, 'stages'>, service: string, stage: string): string {
  const running = Object.hasOwn(stages, stage) ? stages[stage]?.running : undefined;
  if (running !== undefined) return running.rollout;
  const known = Object.keys(stages).join(', ') || 'none';
  throw new NotFound(`nothing that Landfall knows of runs in ${stage} of ${service}, whose stages so far are: ${known}`);
}

/** What a rollback of a stage would come to, without doing it. @throws Refused where there is nothing to roll back */
export function foreseeRollback(lane: LaneState, stage: string): RollbackTerms {
  return orRefused(() => rollbackTerms(lane, stage, mayRollBack(lane, stage)));
}

/** What the lane would say to it. @throws Refused */
export function orRefused<Result>(decide: () => Result): Result {
  try {
    return decide();
  } catch (error) {
    if (error instanceof DecisionRefused) throw new Refused(error.message, { cause: error });
    throw error;
  }
}
