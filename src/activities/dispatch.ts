import { ApplicationFailure, Context } from '@temporalio/activity';
import type { Octokit } from 'octokit';
import { openRepository } from '../adapters/forge/github/repository.ts';
import type { ImagePush } from '../domain/image-push.ts';
import type { DispatchOutcome, VerifiedImage } from '../domain/outcomes.ts';
import type { Plan, StagePlan } from '../domain/plan.ts';
import { answering } from './boundary.ts';

export interface DispatchInput {
  readonly plan: Plan;
  /** One with a `dispatch`. */
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  readonly push: ImagePush;
}

export interface DispatchDependencies {
  /** A client for `owner/name` whose errors are classified. @throws Refusal where GitHub is not configured */
  readonly clientFor: (repository: string) => Promise<Octokit>;
}

/**
 * Tells a repository at GitHub about the image, by a `repository_dispatch` that its workflows listen to. GitHub keeps no list of them, so
 * a retry whose first try was taken, but not answered, sends it again: `rollout_id` is the same in both.
 */
export function createDispatch({ clientFor }: DispatchDependencies) {
  return {
    dispatch: answering(async (input: DispatchInput): Promise<DispatchOutcome> => {
      const { dispatch, name } = input.stage;
      if (dispatch === undefined) {
        throw ApplicationFailure.nonRetryable(`stage ${name} of ${input.plan.service} has nothing to dispatch`, 'NoDispatch');
      }
      const { octokit, named } = await openRepository(clientFor, dispatch.repository);
      const rollout = Context.current().info.workflowExecution?.workflowId ?? '';
      const client_payload = payloadOf(input, rollout, new Date());
      await octokit.rest.repos.createDispatchEvent({ ...named, event_type: dispatch.event, client_payload });
      return { kind: 'dispatched', repository: dispatch.repository, event: dispatch.event };
    }),
  };
}

/** At most ten members, by GitHub's rules. What is not known is empty, so that a workflow can name every member. */
function payloadOf({ plan, image, push }: DispatchInput, rollout: string, now: Date) {
  const commit = push.commit ?? image.revision ?? '';
  return {
    service: plan.service,
    image: image.repository,
    tag: image.tag,
    digest: image.digest,
    sha: commit,
    commit,
    repository: push.sourceRepository ?? image.source ?? '',
    rollout_id: rollout,
    timestamp: now.toISOString(),
  };
}
