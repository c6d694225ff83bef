import { randomUUID } from 'node:crypto';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type { Configuration } from '../config/configuration.ts';
import { describeFollowed, describeTags, planOf, plansOfRepository } from '../config/plans.ts';
import { resolveStartOptions, rolloutStartOptions } from '../contracts/start-options.ts';
import { proofOf, provenTrigger } from '../domain/decision-proof.ts';
import type { ImagePush } from '../domain/image-push.ts';
import {
  type Digest,
  formatReference,
  type ImageReference,
  InvalidReference,
  parseReference,
  type Repository,
  type Tag,
} from '../domain/image-reference.ts';
import { typedReason } from '../domain/person.ts';
import type { Plan } from '../domain/plan.ts';
import { followedApart, follows } from '../domain/tag-policy.ts';
import { InvalidInput, NotFound, Refused, Unreachable } from './errors.ts';
import type { Actor, TriggerInput } from './inputs.ts';
import { readLane } from './lane.ts';
import { answered, isUnanswered } from './temporal-calls.ts';

/**
 * The services that an operator means.
 * @throws InvalidInput where it is no image, or a tag has to be named; NotFound where no service follows it
 */
export function planTriggers(configuration: Configuration, input: TriggerInput) {
  const { image, service } = readWanted(input, configuration);
  const { repository, tag = defaultTag } = image;
  const ofRepository = plansOfRepository(configuration, repository, tag);
  const candidates = ofRepository.filter((plan) => service === undefined || plan.service === service);
  const followers = candidates.filter((plan) => follows(plan.tags, tag)).map((plan) => ({ plan, image, tag }));
  if (followers.length > 0) return followers;
  if (image.tag === undefined && candidates.length > 0) {
    // Whoever follows one tag alone can mean no other.
    const only = candidates.flatMap((plan) => {
      const [tag, ...others] = plan.tags.kind === 'exact' ? plan.tags.tags : [];
      return tag === undefined || others.length > 0 ? [] : [{ plan, image, tag }];
    });
    if (only.length > 0) return only;
    throw new InvalidInput(candidates.map((plan) => `${plan.service} follows ${describeTags(plan.tags)}: name a tag`).join('\n'));
  }
  const what = formatReference({ repository, tag });
  const others = ofRepository.filter((plan) => follows(plan.tags, tag)).map((plan) => plan.service);
  const problem =
    others.length > 0 ? `service ${service} does not follow ${what}; ${others.join(', ')} does` : `no service follows ${what}`;
  const lines = describeFollowed(configuration).map((line) => `  ${line}`);
  const known = lines.length === 0 ? [`${configuration.file} follows nothing yet`] : [`${configuration.file} follows:`, ...lines];
  throw new NotFound([problem, ...known].join('\n'));
}

const defaultTag = 'latest' as Tag;

/**
 * An image, or in its place the name of a service that follows one repository. Where it is both, it is the image.
 * @returns `service`: only for this one
 */
function readWanted({ image: text, service }: TriggerInput, configuration: Configuration) {
  const [, name = '', rest = ''] = /^([^/:@]+)((?:[:@][^/]*)?)$/.exec(text) ?? [];
  const named = planOf(configuration, name);
  const isImage = plansOfRepository(configuration, `docker.io/library/${name}` as Repository).length > 0;
  if (named === undefined || isImage) return { image: parseImage(text), service };
  // Of tags apart, each has a service of a longer name.
  const only = followedApart(named.tags) ? service : (service ?? name);
  return { image: parseImage(`${named.repository}${rest}`), service: only };
}

function parseImage(text: string): ImageReference {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof InvalidReference) throw new InvalidInput(error.message);
    throw error;
  }
}

/** What came of a trigger for one service, as far as it is known by now. */
export interface Started {
  readonly service: string;
  /** Which was asked for. */
  readonly tag: string;
  /** The rollout, or the look-up that starts it. */
  readonly workflow: string;
  /** `wasRunning`: it ran already, and goes on as it was. */
  readonly rollouts: readonly { readonly rollout: string; readonly wasRunning: boolean }[];
  /** Why there is no rollout yet. Absent where there is one, and where nothing is known. */
  readonly note?: string;
}

/**
 * As if the image had just been pushed, and whatever the last verdict was.
 * @returns one for each trigger, in their order
 * @throws Refused where the digest is in quarantine; Unreachable
 */
export async function trigger(client: Client, triggers: ReturnType<typeof planTriggers>, actor: Actor): Promise<Started[]> {
  const starts = triggers.map(async ({ plan, image: { repository, digest }, tag }) => {
    const receivedAt = new Date().toISOString();
    const asked = { source: 'operator', deliveryId: `operator-${randomUUID()}`, repository, tag, receivedAt };
    const push = { ...asked, trigger: await provenBy(actor, plan.service, asked, digest) };
    return await (digest === undefined ? lookUp(client, plan, push) : startRollout(client, plan, { ...push, digest }, digest));
  });
  return await Promise.all(starts);
}

/** A name alone is no actor: whoever may not approve what they pushed could type another one. */
async function provenBy({ name, tokenHash, login }: Actor, service: string, push: ImagePush, digest: Digest | undefined) {
  if (tokenHash === undefined) return { by: name };
  const said = { by: name, ...(login !== undefined && { login }) };
  const decision = { ...provenTrigger(service, push), ...said, ...(digest !== undefined && { digest }) };
  return { ...said, proof: await proofOf(tokenHash, decision) };
}

const startWithinMs = 5_000;
/** Looking a tag up takes a second or two; who mistyped it should learn that here. */
const followForMs = 5_000;
const lookEveryMs = 1_000;

async function startRollout(client: Client, plan: Plan, push: ImagePush, digest: Digest): Promise<Started> {
  await refuseQuarantined(client, plan.service, digest);
  const image = { repository: push.repository, tag: push.tag, digest };
  const options = rolloutStartOptions({ plan, image, push, manual: true, named: true });
  await answered(client, startWithinMs, () => client.workflow.start('rollout', options));
  const workflow = options.workflowId;
  return { service: plan.service, tag: push.tag, workflow, rollouts: [await startedFor(client, workflow, push)] };
}

/** The rollout would end at once, and say so only to whoever looks. Where no lane answers, it is left to the rollout. */
async function refuseQuarantined(client: Client, service: string, digest: Digest): Promise<void> {
  const lane = await readLane(client, service).catch((error: unknown) => {
    if (error instanceof Unreachable) return undefined;
    throw error;
  });
  const quarantined = lane?.quarantine[digest];
  if (quarantined === undefined) return;
  throw new Refused(
    `${digest} is in quarantine since ${quarantined.at} (${typedReason(quarantined.reason)}): landfall unquarantine ${service} ${digest} lets it out, then trigger it`,
  );
}

/** The memo names the delivery that started a run. */
async function startedFor(client: Client, rollout: string, { deliveryId }: ImagePush): Promise<Started['rollouts'][number]> {
  const { memo } = await answered(client, startWithinMs, () => client.workflow.getHandle(rollout).describe());
  return { rollout, wasRunning: memo?.deliveryId !== deliveryId };
}

/** Asks what the tag is, and follows that for a few seconds. */
async function lookUp(client: Client, plan: Plan, push: ImagePush): Promise<Started> {
  const options = resolveStartOptions({ manual: true, plan, push });
  const handle = await answered(client, startWithinMs, () => client.workflow.signalWithStart('resolve', options));
  const known = { service: plan.service, tag: push.tag, workflow: options.workflowId };
  for (const giveUpAt = Date.now() + followForMs; ; ) {
    const ids = await unlessLate(client, () => handle.result());
    if (ids !== undefined) {
      // One look-up answers several questions; this one was about one tag.
      const mine = (ids as string[]).filter((id) => id.startsWith(`rollout:${plan.service}:${push.tag}:`));
      const rollouts = await Promise.all(mine.map((id) => startedFor(client, id, push)));
      if (rollouts.length > 0) return { ...known, rollouts };
    }
    const note = await troubleOf(client, handle, `${plan.repository}:${push.tag}: `);
    if (note !== undefined) return { ...known, rollouts: [], note };
    if (ids !== undefined || Date.now() > giveUpAt) return { ...known, rollouts: [] };
  }
}

/** What keeps a look-up from its answer: the failure of an activity that is tried again, or what the workflow says of a final one. */
async function troubleOf(client: Client, handle: WorkflowHandle, subject: string): Promise<string | undefined> {
  const { raw } = await answered(client, startWithinMs, () => handle.describe());
  const failure = raw.pendingActivities?.find(({ lastFailure }) => lastFailure?.message)?.lastFailure?.message;
  if (failure) return failure;
  // The query that every workflow of the SDK answers, for Temporal's own page.
  const told = await unlessLate(client, () => handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata'));
  return told?.currentDetails?.startsWith(subject) ? told.currentDetails.slice(subject.length) : undefined;
}

async function unlessLate<Answer>(client: Client, call: () => Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answered(client, lookEveryMs, call);
  } catch (error) {
    if (error instanceof Unreachable && isUnanswered(error.cause)) return undefined;
    throw error;
  }
}
