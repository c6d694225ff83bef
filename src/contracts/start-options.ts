import type { WorkflowSignalWithStartOptions } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import { type BuildOptions, type BuildPlan, ofFolder } from '../domain/build.ts';
import type { ImageIdentity } from '../domain/outcomes.ts';
import type { SearchStart } from '../domain/search.ts';
import {
  type BuildSearch,
  type BuildStart,
  type PassThroughStart,
  type ResolveRequest,
  type RollbackStart,
  type RolloutStart,
  resolveSignal,
} from './messages.ts';
import { sealedFor } from './sealed.ts';

/** Task queues. Lanes have workers of their own, so that rollouts which ask a lane never keep it from answering. */
export const taskQueues = { main: 'landfall', lanes: 'landfall-lanes', docker: 'landfall-docker' } as const;

/** The queue of one host's deploys. Without a name: the host that Landfall itself runs on. */
export function deployQueue(host = 'default'): string {
  return `landfall-deploy-${host}`;
}

/** The queue of what is built on one host, a few at a time: a deploy there never waits for that. */
export function buildQueue(host = 'default'): string {
  return `landfall-build-${host}`;
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
export function rolloutId(service: string, { tag, digest }: Pick<ImageIdentity, 'tag' | 'digest'>): string {
  return `rollout:${service}:${tag}:${digest.slice('sha256:'.length, 'sha256:'.length + 12)}`;
}

export const resolveId = (service: string) => `resolve:${service}`;
export const laneId = (service: string) => `lane:${service}`;
export const mergeQueueId = (repository: string, base: string) => `merge:${repository}:${base}`;
export const globalHoldId = 'global-hold';
export const notifyId = (rollout: string) => `notify:${rollout}`;
export const rollbackId = (service: string, stage: string, number: number) => `rollback:${service}:${stage}:${number}`;
/** A schedule's id, and what the ids of its runs begin with. */
export const searchId = (registry: string) => `search:${registry}`;
/** Of the schedule, and of what it starts. */
export const redeliverId = 'redeliver';

type Listed = { service: string; image: string; digest?: string; stage?: string; at: string | undefined };

/**
 * `build:NAME:COMMIT12`: a commit is built once at a time, however often it is asked for. A dry run pushes nothing, so it has an id of its own
 * (`…-dry`), or whoever asks for one could keep a push from being built.
 */
export function buildId(name: string, commit: string, { dryRun = false }: Pick<BuildOptions, 'dryRun'> = {}): string {
  return `build:${name}:${commit.slice(0, 12)}${dryRun ? '-dry' : ''}`;
}
/** Of the schedule of a build, and what the ids of its runs begin with. */
export const buildScheduleId = (name: string) => `search-builds:${name}`;

/** What every rollout, rollback and push that is passed on is listed by when it begins. @param at when it was asked for, ISO 8601 */
function listedBy({ service, image, digest, stage, at }: Listed): TypedSearchAttributes {
  return new TypedSearchAttributes([
    { key: searchAttributes.service, value: service },
    { key: searchAttributes.image, value: image.slice(0, longestKeyword) },
    ...(digest === undefined ? [] : [{ key: searchAttributes.digest, value: digest }]),
    { key: searchAttributes.status, value: 'running' },
    ...(stage === undefined ? [] : [{ key: searchAttributes.stage, value: stage }]),
    { key: searchAttributes.changedAt, value: new Date(at ?? 0) },
  ]);
}

/** Whoever needs it starts it: where it runs already, that is no error and starts nothing. */
function once<Start>(workflowId: string, start: Start, taskQueue: string = taskQueues.main) {
  const args: [Start] = [start];
  return {
    ...{ workflowId, taskQueue, args },
    workflowIdConflictPolicy: 'USE_EXISTING' as const,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE' as const,
  };
}

export function rolloutStartOptions(start: RolloutStart) {
  const { image, push } = start;
  const { service } = start.plan;
  const reference = `${image.repository}:${image.tag}`;
  return {
    ...once(rolloutId(service, image), start),
    typedSearchAttributes: listedBy({ service, image: reference, digest: image.digest, at: push.receivedAt }),
    memo: { source: push.source, deliveryId: push.deliveryId },
    staticSummary: `${service}: ${image.tag}`,
    staticDetails: `\`${reference}@${image.digest}\`, pushed by way of ${push.source} (${push.deliveryId})`,
  };
}

export function buildStartOptions(start: BuildStart) {
  const { subject, cause } = start;
  const { plan, name, folder, commit, options } = subject;
  const image = ofFolder(plan.image, folder);
  return {
    ...once(buildId(name, commit, options), start),
    typedSearchAttributes: listedBy({ service: name, image, at: cause.receivedAt }),
    memo: { source: cause.source, deliveryId: cause.deliveryId },
    staticSummary: `${name}: ${commit.slice(0, 12)}`,
    staticDetails: `\`${image}\` of ${plan.source.repository} at ${commit}, asked for by way of ${cause.source} (${cause.deliveryId})`,
  };
}

/** @param key tells what is searched for from other commits, and from what is asked for again */
export function buildSearchOptions(search: BuildSearch, key: string) {
  return { ...once(`search-builds:${key}`, search), staticSummary: `what is to be built of ${search.ref}?` };
}

/** Its workflow is started where it does not run yet. */
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

export function laneStartOptions(service: string) {
  return { ...once(laneId(service), { service }, taskQueues.lanes), staticSummary: `${service}: turns and verdicts` };
}

export function mergeQueueStartOptions(repository: string, base: string) {
  const staticSummary = `who merges into ${base} next`;
  return { ...once(mergeQueueId(repository, base), {}, taskQueues.lanes), staticSummary };
}

/** Where it does not run, nothing is held. */
export function globalHoldStartOptions() {
  return { ...once(globalHoldId, {}, taskQueues.lanes), staticSummary: 'may anything go out at all?' };
}

/** The memo tells it from one of the same name, of which a lane that lost its memory knows nothing. */
export function rollbackStartOptions(start: RollbackStart & { readonly workflow: string }) {
  const { workflow, service, stage, running, at } = start;
  const { repository, tag, digest } = running;
  return {
    ...once(workflow, start),
    typedSearchAttributes: listedBy({ service, image: `${repository}:${tag}`, digest, stage, at }),
    memo: { at },
    staticSummary: `${service}: back from ${tag} in ${stage}`,
    staticDetails: `\`${repository}:${tag}@${digest}\` is taken out of ${stage}`,
  };
}

/** `repository:tag` of the first tag, for people. */
export function imageOfPassThrough({ plan, pushes }: PassThroughStart): string {
  return `${plan.repository}:${pushes[0]?.tag ?? ''}`;
}

/** Once per delivery (or, where bodies are signed, per body), and again where that failed. */
export function passThroughStartOptions(start: PassThroughStart) {
  const { plan, pushes } = start;
  const { deliveryId: said = '', signedId, source, receivedAt } = pushes[0] ?? {};
  // A delivery that was overheard may come again under another id, which nobody signed.
  const deliveryId = signedId ?? said;
  // Temporal on PostgreSQL keeps an id in 255 characters, and of a long one the ends tell most.
  const short = deliveryId.length <= 140 ? deliveryId : `${deliveryId.slice(0, 70)}${deliveryId.slice(-70)}`;
  const image = imageOfPassThrough(start);
  return {
    ...once(`pass-through:${plan.service}:${short}`, start),
    // Whoever sends one again is told so.
    workflowIdConflictPolicy: 'FAIL' as const,
    workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' as const,
    typedSearchAttributes: listedBy({ service: plan.service, image, at: receivedAt }),
    staticSummary: `${plan.service}: ${pushes.map(({ tag }) => tag).join(', ')}`.slice(0, 200),
    staticDetails: `\`${image}\`, passed on by way of ${source} (${said})`,
  };
}

/** Sealed for every start of the schedule. */
export function searchAction(start: SearchStart) {
  return {
    type: 'startWorkflow',
    workflowType: 'search',
    workflowId: searchId(start.registry),
    taskQueue: taskQueues.main,
    args: [sealedFor({ for: 'start search' }, start)],
    staticSummary: `${start.registry}: pushes that no webhook reported`,
  } as const;
}

/** Of a build that looks at its branch by itself. Sealed for every start of the schedule. */
export function buildAction({ name, source }: Pick<BuildPlan, 'name' | 'source'>) {
  const cause = { source: 'schedule', deliveryId: buildScheduleId(name), receivedAt: '' };
  // Its plan may be another one by then, and so may the branch.
  const search: BuildSearch = { plans: [], scheduled: name, ref: source.branch, options: {}, cause };
  return {
    type: 'startWorkflow',
    workflowType: 'searchBuilds',
    workflowId: buildScheduleId(name),
    taskQueue: taskQueues.main,
    args: [sealedFor({ for: 'start searchBuilds' }, search)],
    staticSummary: `what is to be built for ${name}?`,
  } as const;
}

export function redeliverAction() {
  return {
    type: 'startWorkflow',
    workflowType: 'redeliver',
    workflowId: redeliverId,
    taskQueue: taskQueues.main,
    staticSummary: 'which deliveries of webhooks failed at GitHub?',
  } as const;
}
