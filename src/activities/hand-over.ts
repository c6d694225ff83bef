import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { HandOverInput } from '../contracts/activities/builds.ts';
import { passThroughStartOptions, rolloutStartOptions } from '../contracts/start-options.ts';
import type { HandedOver } from '../domain/build.ts';
import type { ImagePush } from '../domain/image-push.ts';
import { dispatchOfPush, type Plan } from '../domain/plan.ts';
import { currentRun } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

/** From what a build has pushed to the workflows of whoever follows it. Done again it finds its own work. */
export async function handOver(
  input: HandOverInput,
  { client, plansFor }: Pick<Dependencies, 'client' | 'plansFor'>,
): Promise<HandedOver> {
  const { target, tags } = input;
  const { rollout: buildId, run } = currentRun();
  const push = pushOf(input, buildId);
  const followers = tags.flatMap((tag) => plansFor(target.image, tag).map((plan) => ({ plan, push: { ...push, tag } })));
  const isRolledOut = ({ plan }: { readonly plan: Plan }) => dispatchOfPush(plan) === undefined;
  const rolledOut = followers.filter(isRolledOut).map(async ({ plan, push: own }) => {
    const options = rolloutStartOptions({
      plan,
      push: own,
      image: { repository: own.repository, tag: own.tag, digest: own.digest },
    });
    await client.workflow.start('rollout', options);
    return options.workflowId;
  });
  // Once for all of its tags, as any other push; and a delivery of its own, as one cause, such as a schedule, may make many builds.
  const deliveryId = `${buildId}:${run}`;
  const others = Map.groupBy(
    followers.filter((follower) => !isRolledOut(follower)),
    ({ plan }) => plan.service,
  );
  const passedOn = [...others.values()].flatMap((ofService) => {
    const pushes = ofService.map(({ push: own }) => ({ ...own, deliveryId }));
    return ofService.slice(0, 1).map(({ plan }) => startOnce(client, passThroughStartOptions({ plan, pushes })));
  });
  return { kind: 'handed-over', rollouts: await Promise.all([...rolledOut, ...passedOn]) };
}

function pushOf({ subject, target, digest, cause }: HandOverInput, buildId: string) {
  const { repository: sourceRepository } = subject.plan.source;
  const fields = ['commit', 'sourceRepository', ...(cause.proven?.fields.includes('actor') ? ['actor' as const] : [])] as const;
  const proven: ImagePush['proven'] = { ...cause.proven, by: 'build', fields };
  const { image: repository, commit } = target;
  return { ...cause, source: 'build', repository, digest, commit, sourceRepository, buildId, proven };
}

/** What was passed on before is not again. @returns its id */
async function startOnce(client: Client, options: ReturnType<typeof passThroughStartOptions>): Promise<string> {
  try {
    await client.workflow.start('passThrough', options);
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
  return options.workflowId;
}
