import { ApplicationFailure, Context } from '@temporalio/activity';
import { BranchMoved, type Comparison, type Forge } from '../adapters/forge/forge.ts';
import { Refusal } from '../domain/failures.ts';
import type { ImagePush } from '../domain/image-push.ts';
import { editManifest, readReference } from '../domain/manifest-edit.ts';
import type { CheckResults, ProposeOutcome, VerifiedImage } from '../domain/outcomes.ts';
import type { ChangePlan, Plan, StagePlan } from '../domain/plan.ts';
import { commitMessage, isAboutTag, rolloutOfCommit, withdrawalMessage } from '../domain/proposal-commit.ts';
import { checkTexts, type ProposalSubject, proposalBody, proposalTitle } from '../domain/proposal-text.ts';
import { compareCandidates, follows, type TagPolicy } from '../domain/tag-policy.ts';
import { answering } from './boundary.ts';

export interface ProposeInput {
  readonly plan: Plan;
  /** One with a `change`. */
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  readonly push: ImagePush;
  readonly checks: CheckResults;
  /** An operator asked for this very image: an earlier tag than the one in the base branch is then no reason to stop. */
  readonly asked?: boolean;
}

export interface ProposeDependencies {
  /** @throws Refusal where the repository's forge is not configured */
  readonly forgeFor: (repository: string) => Forge;
}

/** How often a branch that moves under our hands is looked at again, before Temporal waits a while. */
const attempts = 3;

/**
 * Proposes an image to one stage: the branch `landfall/SERVICE-STAGE`, and what the forge makes of it. Whatever an earlier try has
 * done already, it finds: there is one branch and one open change for each service and stage, however often it runs.
 */
export function createPropose({ forgeFor }: ProposeDependencies) {
  return {
    propose: answering(async (input: ProposeInput): Promise<ProposeOutcome> => {
      const { change } = input.stage;
      if (change === undefined) {
        throw ApplicationFailure.nonRetryable(
          `stage ${input.stage.name} of ${input.plan.service} has no change to propose`,
          'NoChange',
        );
      }
      const work = workOn(input, change, uncancelled(forgeFor(change.repository)));
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await proposeOnce(work);
        } catch (error) {
          if (!(error instanceof BranchMoved) || attempt === attempts) throw error;
        }
      }
    }),
  };
}

interface Work {
  readonly input: ProposeInput;
  readonly change: ChangePlan;
  readonly forge: Forge;
  readonly rollout: string;
  readonly branch: string;
  readonly subject: ProposalSubject;
}

function workOn(input: ProposeInput, change: ChangePlan, forge: Forge): Work {
  const { plan, stage, image, push, checks } = input;
  return {
    input,
    change,
    forge,
    rollout: Context.current().info.workflowExecution?.workflowId ?? '',
    branch: `landfall/${plan.service}-${stage.name}`,
    subject: { service: plan.service, stage: stage.name, image, push, checks },
  };
}

async function proposeOnce(work: Work): Promise<ProposeOutcome> {
  const { input, change, forge, branch, subject } = work;
  const { image, plan } = input;
  const base = await baseOf(work);
  const edit = editManifest(base.text, change, image);
  if (edit.text === base.text) {
    await withdraw(work, base);
    return { kind: 'unchanged', base: change.base, head: base.commit };
  }
  const later = input.asked === true ? undefined : laterTag(plan.tags, base.text, change, image);
  if (later !== undefined) return { kind: 'outdated', tag: later };

  const head = await writeBranch(work, base, edit.text);
  const proposal = await forge.openChange({
    repository: change.repository,
    base: change.base,
    branch,
    head,
    title: proposalTitle(subject, change.title),
    body: proposalBody(subject, change.body),
    labels: change.labels,
    reviewers: change.reviewers,
    assignees: change.assignees,
  });
  await forge.reportChecks(change.repository, head, checkTexts(subject));
  return { kind: 'proposed', proposal };
}

interface FileAt {
  readonly commit: string;
  readonly text: string;
}

async function baseOf({ change, forge }: Work): Promise<FileAt> {
  const { repository, base, file } = change;
  const commit = await forge.head(repository, base);
  if (commit === undefined) {
    throw new Refusal(
      'ForgeRefused',
      `expected a branch ${base} in ${shown(repository)}, found none: create it, or set change.base`,
    );
  }
  const text = await forge.readFile(repository, commit, file);
  if (text === undefined) {
    throw new Refusal(
      'FileNotFound',
      `expected the file ${file} on branch ${base} of ${shown(repository)}, found none: create it, or set change.file`,
    );
  }
  return { commit, text };
}

/** A tag in the base branch that is later than the image's, by the service's own order. */
function laterTag(policy: TagPolicy, text: string, change: ChangePlan, image: VerifiedImage): string | undefined {
  return readReference(text, change, image)
    .flatMap(({ reference }) => (reference?.tag === undefined || !follows(policy, reference.tag) ? [] : [reference.tag]))
    .find((tag) => compareCandidates(policy, { tag }, image) > 0);
}

/** @returns the commit that the branch has in the end */
async function writeBranch(work: Work, base: FileAt, edited: string): Promise<string> {
  const { change, forge, branch, input, rollout } = work;
  const { repository, file } = change;
  const message = commitMessage(input.plan.service, input.image, rollout);
  const write = { repository, branch, path: file, message };
  const head = await forge.head(repository, branch);
  if (head === undefined) {
    return forge.commitFile({ ...write, parents: [base.commit], treeOf: base.commit, text: edited });
  }
  const comparison = await forge.compare(repository, base.commit, head);
  const present = await forge.readFile(repository, head, file);
  if (isForeign(comparison)) {
    const text = editForeign(work, present);
    if (text === present) return head;
    return forge.commitFile({ ...write, expectedHead: head, parents: [head], treeOf: head, text });
  }
  const isBehind = comparison.behindBy > 0;
  if (present === edited && !isBehind) return head;
  // With the base as second parent and its tree, the branch is up to date without a conflict, and without rewinding it.
  const parents = isBehind ? [head, base.commit] : [head];
  return forge.commitFile({ ...write, expectedHead: head, parents, treeOf: base.commit, text: edited });
}

/** Somebody else than Landfall has committed to the branch. */
function isForeign({ commits }: Comparison): boolean {
  return commits.some(({ message }) => rolloutOfCommit(message) === undefined);
}

/** The file as a person left it on the branch, with the image written into it. */
function editForeign({ change, branch, input }: Work, present: string | undefined): string {
  const advice = `somebody committed to ${branch} of ${shown(change.repository)}, and what they did is kept: merge or revert it, or delete the branch, then retry`;
  if (present === undefined) {
    throw new Refusal('BranchConflict', `expected the file ${change.file} on the branch, found none; ${advice}`);
  }
  try {
    return editManifest(present, change, input.image).text;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new Refusal('BranchConflict', `${error.message}; ${advice}`, error.details, { cause: error });
  }
}

/**
 * The base branch has the image, and the branch still proposes another digest of the same tag, one that the registry has taken back
 * (pushes of A, B and A again): the branch gets the base's tree, so that merging it would change nothing.
 */
async function withdraw({ change, forge, branch, input, rollout }: Work, base: FileAt): Promise<void> {
  const { repository, file } = change;
  const head = await forge.head(repository, branch);
  if (head === undefined) return;
  const comparison = await forge.compare(repository, base.commit, head);
  const present = await forge.readFile(repository, head, file);
  const newest = comparison.commits.at(-1);
  if (newest === undefined || isForeign(comparison) || present === base.text) return;
  if (!isAboutTag(newest.message, input.image)) return;
  await forge.commitFile({
    repository,
    branch,
    expectedHead: head,
    parents: comparison.behindBy > 0 ? [head, base.commit] : [head],
    treeOf: base.commit,
    path: file,
    text: base.text,
    message: withdrawalMessage(input.plan.service, input.image, rollout),
  });
}

/** Stops before the next call to the forge once the activity is cancelled: what was done so far, a retry finds. */
function uncancelled(forge: Forge): Forge {
  const guarded = <Result>(call: () => Promise<Result>): Promise<Result> => {
    const { cancellationSignal } = Context.current();
    return cancellationSignal.aborted ? Promise.reject(cancellationSignal.reason) : call();
  };
  return {
    head: (...args) => guarded(() => forge.head(...args)),
    readFile: (...args) => guarded(() => forge.readFile(...args)),
    compare: (...args) => guarded(() => forge.compare(...args)),
    commitFile: (...args) => guarded(() => forge.commitFile(...args)),
    openChange: (...args) => guarded(() => forge.openChange(...args)),
    reportChecks: (...args) => guarded(() => forge.reportChecks(...args)),
  };
}

/** A remote's address without the credentials that somebody may have written into it. */
function shown(repository: string): string {
  return repository.replace(/^([a-z]+:\/\/)[^/@]*@/i, '$1');
}
