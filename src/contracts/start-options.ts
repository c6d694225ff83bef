import type { WorkflowSignalWithStartOptions, WorkflowStartOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { SearchStart } from '../domain/search.ts';
import { type PassThroughStart, type ResolveRequest, type RollbackStart, type RolloutStart, resolveSignal } from './messages.ts';

/** Task queues. Lanes have workers of their own, so that rollouts which ask a lane never keep it from answering. */
export const taskQueues = { main: 'landfall', lanes: 'landfall-lanes', docker: 'landfall-docker' } as const;

/** The queue of one host's deploys. Without a name: the host that Landfall itself runs on. */
export function deployQueue(host = 'default'): string {
  return `landfall-deploy-${host}`;
}

/** The columns by which rollouts are listed and counted, without replay or queries. */
export const searchAttributes = {
  service: defineSearchAttributeKey('LandfallService', SearchAttributeType.KEYWORD),
  image: defineSearchAttributeKey('LandfallImage', SearchAttributeType.KEYWORD),
  digest: defineSearchAttributeKey('LandfallDigest', SearchAttributeType.KEYWORD),
  status: defineSearchAttributeKey('LandfallStatus', SearchAttributeType.KEYWORD),
  stage: defineSearchAttributeKey('LandfallStage', SearchAttributeType.KEYWORD),
  changedAt: defineSearchAttributeKey('LandfallChangedAt', SearchAttributeType.DATETIME),
  proposedSeconds: defineSearchAttributeKey('LandfallProposedSeconds', SearchAttributeType.INT),
  healthySeconds: defineSearchAttributeKey('LandfallHealthySeconds', SearchAttributeType.INT),
  neededPerson: defineSearchAttributeKey('LandfallNeededPerson', SearchAttributeType.BOOL),
} as const;

/** Temporal on PostgreSQL keeps a keyword in 255 characters; a repository and a tag may be longer together. */
const longestKeyword = 255;

/** `rollout:SERVICE:TAG:DIGEST12`: the business key, so that a push is one rollout however often it is delivered. */
export function rolloutId(service: string, image: Pick<ImageIdentity, 'tag' | 'digest'>): string {
  return `rollout:${service}:${image.tag}:${image.digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
}

export function resolveId(service: string): string {
  return `resolve:${service}`;
}

export function laneId(service: string): string {
  return `lane:${service}`;
}

/** Merges into one base branch go one after the other. */
export function mergeQueueId(repository: string, base: string): string {
  return `merge:${repository}:${base}`;
}

export const globalHoldId = 'global-hold';

export function notifyId(rollout: string): string {
  return `notify:${rollout}`;
}

export function rollbackId(service: string, stage: string, number: number): string {
  return `rollback:${service}:${stage}:${number}`;
}

/** How every rollout is started, wherever from. Starting one that runs already is no error and starts nothing. */
export function rolloutStartOptions(start: RolloutStart): WorkflowStartOptions & { workflowId: string } {
  const { plan, image } = start;
  return {
    workflowId: rolloutId(plan.service, image),
    taskQueue: taskQueues.main,
    args: [start],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    typedSearchAttributes: new TypedSearchAttributes([
      { key: searchAttributes.service, value: plan.service },
      { key: searchAttributes.image, value: `${image.repository}:${image.tag}`.slice(0, longestKeyword) },
      { key: searchAttributes.digest, value: image.digest },
      { key: searchAttributes.status, value: 'running' },
      { key: searchAttributes.changedAt, value: new Date(start.push.receivedAt) },
    ]),
    memo: { source: start.push.source, deliveryId: start.push.deliveryId },
    staticSummary: `${plan.service}: ${image.tag}`,
    staticDetails: `\`${image.repository}:${image.tag}@${image.digest}\`, pushed by way of ${start.push.source} (${start.push.deliveryId})`,
  };
}

/** How a look-up of a service's followed tags is asked for: its workflow is started where it does not run yet. */
export function resolveStartOptions(
  lookUp: ResolveRequest,
): WorkflowSignalWithStartOptions<[ResolveRequest]> & { workflowId: string } {
  return {
    workflowId: resolveId(lookUp.plan.service),
    taskQueue: taskQueues.main,
    signal: resolveSignal,
    signalArgs: [lookUp],
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: `${lookUp.plan.service}: which of its tags changed?`,
  };
}

/** How a service's lane is started when it is first needed. */
export function laneStartOptions(service: string): WorkflowStartOptions & {
  workflowId: string;
  workflowIdConflictPolicy: 'USE_EXISTING';
} {
  return {
    workflowId: laneId(service),
    taskQueue: taskQueues.lanes,
    args: [{ service }],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: `${service}: turns and verdicts`,
  };
}

/** How a base branch's merge queue is started when it is first needed. */
export function mergeQueueStartOptions(
  repository: string,
  base: string,
): WorkflowStartOptions & { workflowId: string; workflowIdConflictPolicy: 'USE_EXISTING' } {
  return {
    workflowId: mergeQueueId(repository, base),
    taskQueue: taskQueues.lanes,
    args: [{}],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: `who merges into ${base} next`,
  };
}

/** How the global hold is started when it is first set. Where it does not run, nothing is held. */
export function globalHoldStartOptions(): WorkflowStartOptions & {
  workflowId: string;
  workflowIdConflictPolicy: 'USE_EXISTING';
} {
  return {
    workflowId: globalHoldId,
    taskQueue: taskQueues.lanes,
    args: [{}],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    staticSummary: 'may anything go out at all?',
  };
}

/** How an operator's rollback is started. The memo tells it from one of the same name, of which a lane that lost its memory knows nothing. */
export function rollbackStartOptions(
  start: RollbackStart & { readonly workflow: string },
): WorkflowStartOptions & { workflowId: string } {
  const { workflow, service, stage, running } = start;
  return {
    workflowId: workflow,
    taskQueue: taskQueues.main,
    args: [start],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE',
    typedSearchAttributes: new TypedSearchAttributes([
      { key: searchAttributes.service, value: service },
      { key: searchAttributes.image, value: `${running.repository}:${running.tag}`.slice(0, longestKeyword) },
      { key: searchAttributes.digest, value: running.digest },
      { key: searchAttributes.status, value: 'running' },
      { key: searchAttributes.stage, value: stage },
      { key: searchAttributes.changedAt, value: new Date(start.at) },
    ]),
    memo: { at: start.at },
    staticSummary: `${service}: back from ${running.tag} in ${stage}`,
    staticDetails: `\`${running.repository}:${running.tag}@${running.digest}\` is taken out of ${stage}`,
  };
}

export function passThroughId({ plan, pushes }: PassThroughStart): string {
  const delivery = pushes[0]?.deliveryId ?? '';
  // Temporal on PostgreSQL keeps an id in 255 characters, and of a long one the ends tell most.
  const short = delivery.length <= 140 ? delivery : `${delivery.slice(0, 70)}${delivery.slice(-70)}`;
  return `pass-through:${plan.service}:${short}`;
}

/** `repository:tag` of the first tag, for people. */
export function imageOfPassThrough({ plan, pushes }: PassThroughStart): string {
  return `${plan.repository}:${pushes[0]?.tag ?? ''}`;
}

/** How a push is passed on: once per delivery, and again where that failed. */
export function passThroughStartOptions(start: PassThroughStart): WorkflowStartOptions & { workflowId: string } {
  const { plan, pushes } = start;
  const image = imageOfPassThrough(start);
  return {
    workflowId: passThroughId(start),
    taskQueue: taskQueues.main,
    args: [start],
    workflowIdConflictPolicy: 'USE_EXISTING',
    workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
    typedSearchAttributes: new TypedSearchAttributes([
      { key: searchAttributes.service, value: plan.service },
      { key: searchAttributes.image, value: image.slice(0, longestKeyword) },
      { key: searchAttributes.status, value: 'running' },
      { key: searchAttributes.changedAt, value: new Date(pushes[0]?.receivedAt ?? 0) },
    ]),
    staticSummary: `${plan.service}: ${pushes.map(({ tag }) => tag).join(', ')}`.slice(0, 200),
    staticDetails: `\`${image}\`, passed on by way of ${pushes[0]?.source} (${pushes[0]?.deliveryId})`,
  };
}

/** A schedule's id, and what the ids of its runs begin with. */
export function searchId(registry: string): string {
  return `search:${registry}`;
}

/** What the schedule of a registry's searches starts. */
export function searchAction(start: SearchStart) {
  return {
    type: 'startWorkflow',
    workflowType: 'search',
    workflowId: searchId(start.registry),
    taskQueue: taskQueues.main,
    args: [start],
    staticSummary: `${start.registry}: pushes that no webhook reported`,
  } as const;
}

/** Of the schedule, and of what it starts. */
export const redeliverId = 'redeliver';

/** What the schedule of looks for failed deliveries of webhooks starts. */
export function redeliverAction() {
  return {
    type: 'startWorkflow',
    workflowType: 'redeliver',
    workflowId: redeliverId,
    taskQueue: taskQueues.main,
    staticSummary: 'which deliveries of webhooks failed at GitHub?',
  } as const;
}
