import type { ProposeActivities, ProposeInput } from '../contracts/activities/delivery.ts';
import { Refusal } from '../domain/failures.ts';
import type { ProposeOutcome, VerifiedImage } from '../domain/outcomes.ts';
import { type ChangePlan, filesOf } from '../domain/plan.ts';
import { branchOf, checkTexts, commitMessage, isAboutTag, proposalBody, proposalTitle } from '../domain/proposal.ts';
import { compareCandidates, follows, type TagPolicy } from '../domain/tag-policy.ts';
import type { Forge } from '../forges/forge.ts';
import { readReference } from '../platform/manifest-editor/index.ts';
import { answering, currentRun } from './boundary.ts';
import {
  baseOf,
  type CommittedFiles,
  foreignOn,
  isSame,
  isWhole,
  openStage,
  proposeFiles,
  readFiles,
  retryWhileBranchMoves,
  shown,
  withPaths,
} from './change-branch.ts';
import { editFiles, type Texts } from './changed-files.ts';
import type { Dependencies } from './dependencies.ts';

/**
 * Proposes an image to one stage: the branch `landfall/SERVICE-STAGE`, and what the forge makes of it. Whatever an earlier try has
 * done already, it finds: there is one branch and one open change for each service and stage, however often it runs.
 */
export function createPropose({ forgeFor }: Pick<Dependencies, 'forgeFor'>): ProposeActivities {
  return {
    propose: answering(async (input: ProposeInput) => {
      const branch = branchOf(input.plan.service, input.stage.name);
      const context = { input, branch, rollout: currentRun().rollout, ...openStage(forgeFor, input, 'propose') };
      return retryWhileBranchMoves(() => proposeOnce(context));
    }),
  };
}

interface ProposeContext {
  readonly input: ProposeInput;
  readonly change: ChangePlan;
  readonly forge: Forge;
  readonly rollout: string;
  readonly branch: string;
}

async function proposeOnce(context: ProposeContext): Promise<ProposeOutcome> {
  const { input, change, forge, branch, rollout } = context;
  const { image, plan, stage, push, checks, skipped = [], named = false } = input;
  const base = await baseOf(forge, change);
  const { texts, values } = await editFiles(base.texts, change, image);
  if (isSame(texts, base.texts)) {
    await withdraw(context, base);
    return { kind: 'unchanged', base: change.base, head: base.commit };
  }
  const later = input.manual === true ? undefined : await laterTag(plan.tags, base.texts, change, image);
  if (later !== undefined) return { kind: 'outdated', tag: later };

  const { title, body, reviewers, assignees } = change;
  const byTag = filesOf(change).some(({ pin }) => pin === 'tag');
  const subject = { service: plan.service, stage: stage.name, image, push, checks, skipped, named, byTag };
  const own = { forge, change, image, branch, base };
  const { proposal, foreign } = await proposeFiles(own, {
    edited: texts,
    message: commitMessage('update', plan.service, image, rollout, input.skipped),
    editForeign: async (present) => editForeign(context, present),
    request: { title: proposalTitle(subject, title), body: proposalBody(subject, body), reviewers, assignees },
    checks: checkTexts(subject),
  });
  // Landfall would not merge it. Said now, nobody approves in vain; the proposal is there for a person to merge.
  if (foreign !== undefined && change.merge === 'auto') throw await foreign();
  return { kind: 'proposed', proposal: { ...proposal, ...values, ...(foreign && { foreign: true }) } };
}

/** A tag in the base branch that is later than the image's, by the service's own order. */
async function laterTag(policy: TagPolicy, texts: Texts, change: ChangePlan, image: VerifiedImage): Promise<string | undefined> {
  const places = await Promise.all(filesOf(change).map((file, index) => readReference(texts[index] ?? '', file, image)));
  return places
    .flat()
    .flatMap(({ reference }) => (reference?.tag === undefined || !follows(policy, reference.tag) ? [] : [reference.tag]))
    .find((tag) => compareCandidates(policy, { tag }, image) > 0);
}

/** The files as people left them on the branch, with the image written into them. */
async function editForeign({ change, branch, input }: ProposeContext, present: readonly (string | undefined)[]): Promise<Texts> {
  const advice = `somebody committed to ${branch} of ${shown(change.repository)}, and what they did is kept: merge or revert it, or delete the branch, then retry`;
  if (!isWhole(present)) {
    const missing = filesOf(change)[present.indexOf(undefined)]?.file;
    throw new Refusal('BranchConflict', `expected the file ${missing} on the branch, found none; ${advice}`);
  }
  try {
    return (await editFiles(present, change, input.image)).texts;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal('BranchConflict', `${error.message}; ${advice}`, error.details, { cause: error });
  }
}

/**
 * The base branch has the image, and the branch still proposes another digest of the same tag, one that the registry has taken back
 * (pushes of A, B and A again): the branch gets the base's tree, so that merging it would change nothing.
 */
async function withdraw({ change, forge, branch, input, rollout }: ProposeContext, base: CommittedFiles): Promise<void> {
  const { plan, image } = input;
  const { repository } = change;
  const head = await forge.head(repository, branch);
  if (head === undefined) return;
  const { commits, behindBy } = await forge.compare(repository, base.commit, head);
  const newest = commits.at(-1);
  if (newest === undefined || !isAboutTag(newest.message, image)) return;
  const present = await readFiles(forge, change, head);
  if (isSame(present, base.texts) || (await foreignOn({ forge, change, image, branch, base }, head)) !== undefined) return;
  await forge.commitFiles({
    repository,
    branch,
    expectedHead: head,
    parents: behindBy > 0 ? [head, base.commit] : [head],
    treeOf: base.commit,
    files: withPaths(change, base.texts),
    message: commitMessage('keep', plan.service, image, rollout),
  });
}
