import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Octokit } from 'octokit';
import type { DispatchActivities, DispatchStageInput, PassThroughInput } from '../contracts/activities/delivery.ts';
import { type DispatchSubject, payloadOf } from '../domain/dispatch-payload.ts';
import { pathOf } from '../domain/image-reference.ts';
import type { DispatchOutcome } from '../domain/outcomes.ts';
import { type DispatchPlan, dispatchOfPush } from '../domain/plan.ts';
import { openRepository } from '../platform/github/repository.ts';
import { answering } from './boundary.ts';

export interface DispatchDependencies {
  /** A client for `owner/name` whose errors are classified. @throws Refusal if GitHub is not configured */
  readonly clientFor: (repository: string) => Promise<Octokit>;
}

/**
 * Tells a repository at GitHub about an image, by a `repository_dispatch` that its workflows listen to. GitHub keeps no list of them, so
 * a retry whose first try was taken, but not answered, sends it again: `rollout_id` of Landfall's own payload is the same in both.
 */
export function createDispatch({ clientFor }: DispatchDependencies): DispatchActivities {
  const send = async (dispatch: DispatchPlan, subject: Omit<DispatchSubject, 'now' | 'rollout'>): Promise<DispatchOutcome> => {
    const [push] = subject.pushes;
    const repository = dispatch.repository ?? pathOf(push.repository);
    const rollout = Context.current().info.workflowExecution?.workflowId ?? '';
    const made = payloadOf(dispatch.payload, { ...subject, rollout, now: new Date() });
    if ('problem' in made) throw ApplicationFailure.nonRetryable(made.problem, 'NoCommit');
    const { octokit, named } = await openRepository(clientFor, repository);
    await octokit.rest.repos.createDispatchEvent({ ...named, event_type: dispatch.event, client_payload: { ...made.payload } });
    return { kind: 'dispatched', repository, event: dispatch.event };
  };
  return {
    dispatch: answering(async ({ plan, stage, image, push }: DispatchStageInput) => {
      if (stage.dispatch === undefined) throw nothingToDispatch(`stage ${stage.name} of ${plan.service}`);
      // The rollout's own tag and digest: a push may have been superseded by what its tag points to now.
      const { repository, tag } = image;
      return await send(stage.dispatch, {
        service: plan.service,
        pushes: [{ ...push, repository, tag }],
        image,
        per: 'tag',
      });
    }),
    passThrough: answering(async ({ plan, pushes }: PassThroughInput) => {
      const dispatch = dispatchOfPush(plan);
      if (dispatch === undefined) throw nothingToDispatch(plan.service);
      return await send(dispatch, { service: plan.service, pushes, per: 'push' });
    }),
  };
}

function nothingToDispatch(who: string): ApplicationFailure {
  return ApplicationFailure.nonRetryable(`${who} has nothing to dispatch`, 'NoDispatch');
}
