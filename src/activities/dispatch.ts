import { ApplicationFailure } from '@temporalio/activity';
import type { DispatchActivities, DispatchStageInput, PassThroughInput } from '../contracts/activities/delivery.ts';
import { type DispatchSubject, payloadOf } from '../domain/dispatch-payload.ts';
import { pathOf } from '../domain/image-reference.ts';
import { type DispatchPlan, dispatchOfPush } from '../domain/plan.ts';
import { openRepository } from '../platform/github/repository.ts';
import { answering, currentRun } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

/**
 * Tells a repository at GitHub about an image, by a `repository_dispatch` that its workflows listen to. GitHub keeps no list of them, so
 * a retry whose first try was taken, but not answered, sends it again: `rollout_id` of Landfall's own payload is the same in both.
 */
export function createDispatch({ clientFor }: Pick<Dependencies, 'clientFor'>): DispatchActivities {
  const send = async (who: string, dispatch: DispatchPlan | undefined, subject: Omit<DispatchSubject, 'now' | 'rollout'>) => {
    if (dispatch === undefined) throw ApplicationFailure.nonRetryable(`${who} has nothing to dispatch`, 'NoDispatch');
    const repository = dispatch.repository ?? pathOf(subject.pushes[0].repository);
    const made = payloadOf(dispatch.payload, { ...subject, rollout: currentRun().rollout, now: new Date() });
    if ('problem' in made) throw ApplicationFailure.nonRetryable(made.problem, 'NoCommit');
    const { octokit, named } = await openRepository(clientFor, repository);
    await octokit.rest.repos.createDispatchEvent({ ...named, event_type: dispatch.event, client_payload: { ...made.payload } });
    return { kind: 'dispatched' as const, repository, event: dispatch.event };
  };
  return {
    dispatch: answering(({ plan: { service }, stage, image, push }: DispatchStageInput) => {
      // The rollout's own tag and digest: a push may have been superseded by what its tag points to now.
      const { repository, tag } = image;
      const pushes = [{ ...push, repository, tag }] as const;
      return send(`stage ${stage.name} of ${service}`, stage.dispatch, { service, pushes, image, per: 'tag' });
    }),
    passThrough: answering(({ plan, pushes }: PassThroughInput) =>
      send(plan.service, dispatchOfPush(plan), { service: plan.service, pushes, per: 'push' }),
    ),
  };
}
