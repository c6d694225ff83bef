import {
  decisionAdvice,
  decisionsFor,
  isApprovalAsked,
  nameOf,
  type RunState,
  type StepState,
  shortRollout,
} from './rollout-state.ts';

/** What a rollout asks of people, found in its state: the same for the command, the API and the page. */

/** What a step says that waits for nothing but a person's merge. */
export const personMerges = 'a person merges it';

/** What can be said to one step. */
export type StepDecision = 'approve' | 'retry' | 'skip' | 'reject';

export interface OpenQuestion extends Pick<StepState, 'step' | 'stage' | 'reason' | 'failure' | 'details'> {
  /** `decision`: it is blocked. `approval`: of the stage. `merge`: of the proposal, where proposals are merged by people. */
  readonly asks: 'decision' | 'approval' | 'merge';
  /** Since when, ISO 8601. */
  readonly since: string;
  readonly decisions: readonly StepDecision[];
  /** The commands that answer it. */
  readonly advice: string;
  /** What is to be approved or merged, where people see it. */
  readonly proposal?: string;
  /** The commit that is to be approved or merged. */
  readonly head?: string;
}

/** In the order of the steps. Any rollout that has not ended can be aborted, too. */
export function openQuestions(rollout: string, state: RunState): OpenQuestion[] {
  return state.steps.flatMap((step) => {
    const asked = askedBy(rollout, step);
    if (asked === undefined) return [];
    const { stage, reason, failure, details, startedAt } = step;
    const proposal = stage === undefined ? undefined : state.proposals[stage];
    return [
      {
        ...asked,
        step: step.step,
        since: step.endedAt ?? startedAt ?? state.changedAt,
        ...(stage !== undefined && { stage }),
        ...(reason !== undefined && { reason }),
        ...(failure !== undefined && { failure }),
        ...(details !== undefined && { details }),
        ...(proposal !== undefined && { proposal: proposal.url, head: proposal.head }),
      },
    ];
  });
}

function askedBy(rollout: string, state: StepState): Pick<OpenQuestion, 'asks' | 'decisions' | 'advice'> | undefined {
  const { step, stage, status, reason = '' } = state;
  const id = shortRollout(rollout);
  const ofStage = stage === undefined ? '' : ` --stage ${stage}`;
  const rejection = `landfall reject ${id} ${step}${ofStage}`;
  if (status === 'blocked') {
    return { asks: 'decision', decisions: decisionsFor(state), advice: decisionAdvice(rollout, state) };
  }
  if (status !== 'waiting') return undefined;
  if (isApprovalAsked(state)) {
    return { asks: 'approval', decisions: decisionsFor(state), advice: `landfall approve ${id}${ofStage}, or ${rejection}` };
  }
  const isForPerson = step === 'merge' && reason.endsWith(personMerges);
  return isForPerson ? { asks: 'merge', decisions: decisionsFor(state), advice: `merge it, or ${rejection}` } : undefined;
}

/** What a rollout is at, in one sentence: the question it asks, or the step it takes and what that waits for. */
export function standingOf({ status, reason, steps }: Pick<RunState, 'status' | 'reason' | 'steps'>): string | undefined {
  const last = steps.findLast((step) => step.status === 'blocked' || step.status === 'running' || step.status === 'waiting');
  const current = steps.find(isApprovalAsked) ?? last;
  if (current === undefined) return reason;
  const why = status === 'waiting' ? (reason ?? current.reason) : current.reason;
  return why === undefined ? nameOf(current) : `${nameOf(current)}: ${why}`;
}
