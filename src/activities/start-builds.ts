import type { Client } from '@temporalio/client';
import type { FoundBuilds } from '../contracts/activities/builds.ts';
import type { BuildSearch } from '../contracts/messages.ts';
import { buildStartOptions, searchAttributes } from '../contracts/start-options.ts';
import { type BuildSubject, ofFolder } from '../domain/build.ts';
import { isFullCommit, shortRef } from '../domain/commit.ts';
import { Refusal } from '../domain/failures.ts';
import { isGoodBuildEnd } from '../domain/rollout-state.ts';
import { ifKnown } from './boundary.ts';
import type { Dependencies } from './dependencies.ts';

/** What is to be built of a commit, and its builds. @throws Refusal `BuildRefused` where what is named is not there */
export async function startBuilds(
  search: BuildSearch,
  { builds, client, buildPlanOf }: Pick<Dependencies, 'builds' | 'client' | 'buildPlanOf'>,
): Promise<FoundBuilds> {
  const { plans, scheduled, cause } = search;
  const own = scheduled === undefined ? undefined : buildPlanOf(scheduled);
  // What a schedule was made for may not be what the configuration says now.
  const current = own === undefined ? { plans } : { plans: [own], ref: own.source.branch };
  const { commit, subjects } = await findSubjects({ ...search, ...current }, builds);
  const started = subjects.map(async (subject) => {
    const receivedAt = cause.receivedAt || new Date().toISOString();
    const options = buildStartOptions({ subject, cause: { ...cause, receivedAt } });
    if (scheduled !== undefined && (await isGivenUp(client, options.workflowId))) return [];
    await client.workflow.start('build', options);
    const { memo, runId: run } = await client.workflow.getHandle(options.workflowId).describe();
    return [{ build: options.workflowId, run, wasRunning: memo?.deliveryId !== cause.deliveryId }];
  });
  return { kind: 'found', commit, builds: (await Promise.all(started)).flat() };
}

/** Whether the last build of this commit was rejected, or nobody came to decide: a schedule does not ask again. One that was aborted may begin anew. */
async function isGivenUp(client: Client, build: string): Promise<boolean> {
  const last = await ifKnown(client.workflow.getHandle(build).describe());
  if (last?.status.name !== 'COMPLETED') return false;
  const end = last.typedSearchAttributes.get(searchAttributes.status) ?? 'aborted';
  return end !== 'aborted' && !isGoodBuildEnd(end);
}

/** Each build of a commit, as far as it is asked for. */
async function findSubjects(search: BuildSearch, { sources }: Dependencies['builds']) {
  const { plans, ref, before, names, options } = search;
  const found = await Promise.all(
    plans.map(async (plan) => {
      const commit = await commitOf(search, () => sources.commitOf(plan.source, ref));
      refuseOutdated(search, commit);
      const folders = await sources.folders(plan.source, commit, before);
      const branch = search.branch ?? (isFullCommit(ref) ? plan.source.branch : shortRef(ref));
      return folders.map(({ folder, hasChanged }) => {
        const subject: BuildSubject = { plan, name: ofFolder(plan.name, folder), folder, commit, branch, options };
        return { subject, hasChanged };
      });
    }),
  );
  const all = found.flat();
  const wanted = names === undefined ? all : all.filter(({ subject }) => names.includes(subject.name));
  const [first] = wanted;
  if (first === undefined) throw nothingThere(search, all);
  const distinct = wanted.filter(({ subject }) => isOwnOf(subject, wanted));
  return { commit: first.subject.commit, subjects: distinct.flatMap(({ subject, hasChanged }) => (hasChanged ? subject : [])) };
}

/**
 * Whether a folder is built by this plan: one that has the very name takes its folder from a pattern.
 * @throws Refusal `BuildRefused` where two folders have one name, as the build of one would be taken for that of the other
 */
function isOwnOf(subject: BuildSubject, all: readonly { readonly subject: BuildSubject }[]): boolean {
  const { name, folder, plan } = subject;
  const others = all.map((each) => each.subject).filter((other) => other.name === name && other !== subject);
  const another = others.find((other) => other.folder !== folder);
  if (another !== undefined)
    throw new Refusal(
      'BuildRefused',
      `expected a name for one folder alone, found ${name} for ${folder || '.'} and for ${another.folder || '.'}: give one of the builds another name (name of builds, such as ${name}-image)`,
    );
  return others.length === 0 || plan.name === name;
}

/** Far longer than the replicas of a forge are behind. */
const longestLagMs = 5 * 60_000;

/** What a forge tells of a push or a job is there, if not on all of its servers yet. What a person has named may be mistyped. */
async function commitOf({ cause }: BuildSearch, look: () => Promise<string>): Promise<string> {
  try {
    return await look();
  } catch (error) {
    const isUnknown = error instanceof Refusal && error.type === 'BuildRefused';
    if (!isUnknown || cause.source === 'operator' || !isRecent(cause)) throw error;
    throw new Error(`${error.message}; it is asked again`, { cause: error });
  }
}

function isRecent({ receivedAt }: BuildSearch['cause']): boolean {
  return Date.now() - Date.parse(receivedAt) <= longestLagMs;
}

/** A forge may tell of a push sooner than all of its servers have it. What the sender says decides nothing but that the branch is asked again. */
function refuseOutdated({ ref, before, after, cause }: BuildSearch, commit: string): void {
  if (commit !== before || after === undefined || after === before) return;
  // Later the branch was set back, or the sender is wrong.
  if (!isRecent(cause)) return;
  throw new Error(`expected ${ref} to have more than ${commit}, as ${after} was pushed to it; it is asked again`);
}

function nothingThere({ plans, ref, names }: BuildSearch, all: readonly { readonly subject: BuildSubject }[]): Refusal {
  const paths = [...new Set(plans.map(({ source }) => source.path || '.'))].join(', ');
  const named = names === undefined ? '' : ` named ${names.join(', ')}`;
  const known = all.slice(0, 20).map(({ subject }) => subject.name);
  const there = known.length === 0 ? '' : `; there are: ${known.join(', ')}`;
  return new Refusal('BuildRefused', `expected a folder to build${named} (path: ${paths}) at ${ref}, found none${there}`);
}
