import type { Client, WorkflowHandle } from '@temporalio/client';
import { resolveStartOptions, rolloutStartOptions } from '../contracts/start-options.ts';
import type { ImagePush } from '../domain/image-push.ts';
import type { Digest } from '../domain/image-reference.ts';
import { typedReason } from '../domain/person.ts';
import type { Plan } from '../domain/plan.ts';
import { answered } from './answered.ts';
import { Refused, Unreachable } from './errors.ts';
import { isUnanswered } from './in-time.ts';
import { readLane } from './lane.ts';

/** What came of a trigger for one service, as far as it is known by now. */
export interface Started {
  readonly service: string;
  /** The rollout, or the look-up that starts it. */
  readonly workflow: string;
  readonly rollouts: readonly StartedRollout[];
  /** Why there is no rollout yet. Absent where there is one, and where nothing is known. */
  readonly note?: string;
}

export interface StartedRollout {
  readonly rollout: string;
  /** It ran already, and goes on as it was. */
  readonly wasRunning: boolean;
}

const startWithinMs = 5_000;
/** Looking a tag up takes a second or two; who mistyped it should learn that here. */
const followForMs = 5_000;
const lookEveryMs = 1_000;

/** Starts the rollout of a digest, or asks what the tag is and follows that for a few seconds. */
export async function startRollouts(client: Client, plan: Plan, push: ImagePush): Promise<Started> {
  return push.digest === undefined ? await lookUp(client, plan, push) : await startRollout(client, plan, push, push.digest);
}

async function startRollout(client: Client, plan: Plan, push: ImagePush, digest: Digest): Promise<Started> {
  await refuseQuarantined(client, plan.service, digest);
  const image = { repository: push.repository, tag: push.tag, digest };
  const options = rolloutStartOptions({ plan, image, push, manual: true, named: true });
  await answered(client, startWithinMs, () => client.workflow.start('rollout', options));
  const { service } = plan;
  const workflow = options.workflowId;
  return { service, workflow, rollouts: [await startedFor(client, workflow, push)] };
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
async function startedFor(client: Client, rollout: string, { deliveryId }: ImagePush): Promise<StartedRollout> {
  const { memo } = await answered(client, startWithinMs, () => client.workflow.getHandle(rollout).describe());
  return { rollout, wasRunning: memo?.deliveryId !== deliveryId };
}

async function lookUp(client: Client, plan: Plan, push: ImagePush): Promise<Started> {
  const options = resolveStartOptions({ manual: true, plan, push });
  const handle = await answered(client, startWithinMs, () => client.workflow.signalWithStart('resolve', options));
  const known = { service: plan.service, workflow: options.workflowId };
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
