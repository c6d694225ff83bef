import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { buildPlanFor } from '../config/build-plans.ts';
import type { Configuration } from '../config/configuration.ts';
import type { FoundBuilds } from '../contracts/activities/builds.ts';
import type { BuildCause, BuildSearch } from '../contracts/messages.ts';
import { buildSearchOptions } from '../contracts/start-options.ts';
import type { BuildOptions } from '../domain/build.ts';
import { messageOf } from '../domain/errors.ts';
import type { Tag } from '../domain/image-reference.ts';
import { NotFound, Refused, Unreachable } from './errors.ts';
import type { Actor, BuildRequest } from './inputs.ts';
import { answered } from './temporal-calls.ts';

/** What is to be searched for. @throws NotFound where no build of the configuration has the name */
export function planBuild(
  configuration: Configuration,
  { name, ref, source, ...asked }: BuildRequest,
): Omit<BuildSearch, 'cause'> {
  const plan = buildPlanFor(configuration, name);
  if (plan === undefined) {
    const known = configuration.builds.map((build) => `  ${build.name}: ${build.image} of ${build.source.repository}`);
    const there = known.length === 0 ? [`${configuration.file} has no builds`] : [`${configuration.file} builds:`, ...known];
    throw new NotFound([`no build is named ${name}`, ...there].join('\n'));
  }
  const { dryRun, force, tag, pushLatest, release, pushOnly } = asked;
  const options: BuildOptions = {
    ...(dryRun && { dryRun }),
    ...(force && { force }),
    ...(pushOnly && { pushOnly }),
    ...(tag !== undefined && { tag: tag as Tag }),
    ...(pushLatest !== undefined && { movesLatest: pushLatest }),
    ...(release !== undefined && { release }),
  };
  // A pattern itself means all of its folders.
  const from = source === undefined ? plan.source : { ...plan.source, repository: resolve(source) };
  const usual = source === undefined ? plan.source.branch : 'HEAD';
  return { plans: [{ ...plan, source: from }], ref: ref ?? usual, options, ...(name !== plan.name && { names: [name] }) };
}

const startWithinMs = 5_000;
const lookEveryMs = 250;
/** A first clone may take long. */
const findWithinMs = 10 * 60_000;

/** What was asked for, before it is known which commit and folders that means. */
export interface StartedSearch {
  /** Id of the workflow that looks, and has built what it finds. */
  readonly search: string;
  /** @throws Refused where the commit has nothing to build; Unreachable */
  readonly found: () => Promise<FoundBuilds>;
}

/**
 * Has a build started: from here on it goes on by itself, whoever waits for what it finds.
 * @param of why, where that is not just the word of an operator; asked for again with the same delivery id, it answers what it answered
 * @throws Unreachable
 */
export async function beginBuild(
  client: Client,
  search: Omit<BuildSearch, 'cause'>,
  actor: Pick<Actor, 'name'>,
  of: Partial<BuildCause> = {},
): Promise<StartedSearch> {
  const { deliveryId = `operator-${randomUUID()}` } = of;
  const cause = { source: 'operator', receivedAt: new Date().toISOString(), trigger: { by: actor.name }, ...of, deliveryId };
  const options = buildSearchOptions({ ...search, cause }, deliveryId);
  await answered(client, startWithinMs, () => startOnce(client, options));
  return { search: options.workflowId, found: () => untilFound(client, options.workflowId) };
}

/** The same, and waits until it is known which commit and folders it means. */
export async function startBuild(...asked: Parameters<typeof beginBuild>): Promise<FoundBuilds> {
  return await (await beginBuild(...asked)).found();
}

async function untilFound(client: Client, search: string): Promise<FoundBuilds> {
  const handle = client.workflow.getHandle(search);
  for (const giveUpAt = Date.now() + findWithinMs; Date.now() < giveUpAt; await pause(lookEveryMs)) {
    const { status, raw } = await answered(client, startWithinMs, () => handle.describe());
    if (status.name === 'COMPLETED') return (await handle.result()) as FoundBuilds;
    if (status.name !== 'RUNNING') throw new Refused(await whyFailed(handle.result()));
    const failure = raw.pendingActivities?.find(({ lastFailure }) => lastFailure?.message)?.lastFailure?.message;
    if (failure && Date.now() > giveUpAt - findWithinMs + 60_000) throw new Unreachable(`${search}: ${failure}`);
  }
  throw new Unreachable(`${search} does not end: see it in Temporal`);
}

/** What has found something is not started again: whoever asks once more has not had the answer. */
async function startOnce(client: Client, options: ReturnType<typeof buildSearchOptions>): Promise<void> {
  try {
    await client.workflow.start('searchBuilds', { ...options, workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

/** Temporal wraps what an activity says, once for each workflow that it went through. */
async function whyFailed(result: Promise<unknown>): Promise<string> {
  let found = await result.then(
    () => 'it ended well after all: ask again',
    (error: unknown) => error,
  );
  while (found instanceof Error && found.cause instanceof Error) found = found.cause;
  return messageOf(found);
}
