import { Context } from '@temporalio/activity';
import type { BaseState, MergeActivities, ProposalInput, RevertInput, TidyInput } from '../contracts/activities/delivery.ts';
import { Refusal } from '../domain/failures.ts';
import { code, inert, prose } from '../domain/inert-text.ts';
import type { ManifestValues, MergeOutcome, Proposal, ProposalState, RevertOutcome } from '../domain/outcomes.ts';
import type { ChangePlan, Plan } from '../domain/plan.ts';
import { type CheckReport, commitMessage, mergeMessage, mergeTitle, rollbackBranchOf } from '../domain/proposal.ts';
import type { Forge, OwnChange } from '../forges/forge.ts';
import { answering, currentRun } from './boundary.ts';
import {
  baseHead,
  baseOf,
  type CommittedFiles,
  imageIn,
  isSame,
  isWhole,
  openStage,
  previousIn,
  proposeFiles,
  readFiles,
  retryWhileBranchMoves,
  shown,
} from './change-branch.ts';
import { editFiles, type FilesRestored, filesSay, restoreFiles } from './changed-files.ts';
import type { Dependencies } from './dependencies.ts';

export function createMerge({ forgeFor }: Pick<Dependencies, 'forgeFor'>): MergeActivities {
  const open = (input: ProposalInput) => openStage(forgeFor, input, 'merge');
  return {
    proposalState: answering(async (input: ProposalInput): Promise<ProposalState> => {
      const { change, forge } = open(input);
      const state = await forge.state(change.repository, input.proposal, ownChangeOf(input, change));
      const isTheirs = state.kind === 'closed' || (state.kind === 'open' && state.head !== input.proposal.head);
      if (input.proposal.kind === 'pull-request' || !isTheirs) return state;
      // Plain git has no pull requests: a person who squashed the branch into the base, or amended and merged it, has accepted the proposal.
      const base = await lookAtBase(input, change, forge);
      return base.holds ? { kind: 'merged', commit: base.commit } : state;
    }),

    mergeChange: answering(async (input: ProposalInput): Promise<MergeOutcome> => {
      const { change, forge } = open(input);
      const { plan, image, proposal } = input;
      const outcome = await retryWhileBranchMoves(() =>
        forge.merge({
          repository: change.repository,
          proposal,
          own: ownChangeOf(input, change),
          ...(change.mergeMethod !== undefined && { method: change.mergeMethod }),
          title: mergeTitle(plan.service, image, isRollback(input)),
          message: mergeMessage(plan.service, image, currentRun().rollout, proposal.head),
        }),
      );
      if (outcome.kind !== 'merged') return outcome;
      const { found, ...merged } = outcome;
      if (found) await refuseUnlessHeld(input, change, forge, merged.commit);
      await deleteMerged(forge, change, proposal);
      return merged;
    }),

    tidyChange: answering(async (input: TidyInput) => {
      const { change, forge } = open(input);
      const { repository } = change;
      const { branch, head } = input.proposal;
      const state = input.close ? await forge.state(repository, input.proposal, ownChangeOf(input, change)) : undefined;
      if (state?.kind === 'open' && state.head === head) await forge.close(repository, input.proposal);
      await forge.deleteBranch(repository, branch, head);
      return { kind: 'tidied' as const };
    }),

    baseHolds: answering(async (input: ProposalInput) => {
      const { change, forge } = open(input);
      return lookAtBase(input, change, forge);
    }),

    revertChange: answering(async (input: RevertInput) => {
      const { change, forge } = open(input);
      return retryWhileBranchMoves(() => revert(input, change, forge));
    }),
  };
}

async function lookAtBase({ image, proposal }: ProposalInput, change: ChangePlan, forge: Forge): Promise<BaseState> {
  const commit = await baseHead(forge, change);
  const texts = await readFiles(forge, change, commit);
  if (!isWhole(texts)) return { kind: 'looked', holds: false, commit };
  const { before = [], after, perFile } = proposal;
  const holds =
    after === undefined
      ? isSame((await editFiles(texts, change, image)).texts, texts)
      : await filesSay(texts, change, image, { before, after, ...(perFile && { perFile }) });
  return { kind: 'looked', holds, commit };
}

function isRollback({ plan, stage, proposal }: ProposalInput): boolean {
  return proposal.branch === rollbackBranchOf(plan.service, stage.name);
}

function ownChangeOf(input: ProposalInput, change: ChangePlan): OwnChange {
  const { image, proposal } = input;
  return isRollback(input) ? previousIn(change, image, proposal) : imageIn(change, image);
}

/** What others merged, or say that they did, counts where the base branch has it. */
async function refuseUnlessHeld(input: ProposalInput, change: ChangePlan, forge: Forge, commit: string): Promise<void> {
  if ((await lookAtBase(input, change, forge)).holds) return;
  throw new Refusal(
    'BaseMovedOn',
    `${input.proposal.url} was merged as ${commit.slice(0, 12)}, but ${change.base} of ${shown(change.repository)} does not have what it proposed: somebody changed it since; put it right there, then retry`,
  );
}

/** The merge counts: a branch that stays, for whatever reason, is no failure, and the next proposal goes on with it. */
async function deleteMerged(forge: Forge, { repository }: ChangePlan, { branch, head }: Proposal): Promise<void> {
  try {
    await forge.deleteBranch(repository, branch, head);
  } catch (error) {
    Context.current().log.warn(`the branch ${branch} was merged and could not be deleted`, { error });
  }
}

/** Proposes the previous values of the change; everything else that people changed since is kept. */
async function revert(input: RevertInput, change: ChangePlan, forge: Forge): Promise<RevertOutcome> {
  const { plan, stage, image } = input;
  const values = valuesOf(input.proposal);
  const base = await baseOf(forge, change);
  const restored = await restore(input, change, forge, base, values);
  if (restored.kind === 'unchanged') return { kind: 'unchanged', base: change.base, head: base.commit };
  const branch = rollbackBranchOf(plan.service, stage.name);
  const own = { forge, change, image, branch, base };
  const { proposal } = await proposeFiles(own, {
    edited: restored.texts,
    message: commitMessage('roll back', plan.service, image, currentRun().rollout),
    editForeign: async (_, refusal) => {
      throw await refusal();
    },
    // Nobody is asked: a rollback waits for no approval.
    request: { title: mergeTitle(plan.service, image, true), body: bodyOf(input, restored.values), reviewers: [], assignees: [] },
    checks: checksOf(plan),
  });
  return { kind: 'proposed', proposal: { ...proposal, ...restored.values } };
}

function valuesOf({ before, after, written, perFile, url }: Proposal): ManifestValues {
  if (before !== undefined && after !== undefined)
    return { before, after, ...(written && { written }), ...(perFile && { perFile }) };
  throw new Refusal(
    'NothingBefore',
    `expected the proposal ${url} to know what stood there before, found one of an earlier version of Landfall: put the previous image back by hand`,
  );
}

/** @throws Refusal that names the commit which changed a file after us */
async function restore(
  { image, proposal }: RevertInput,
  change: ChangePlan,
  forge: Forge,
  base: CommittedFiles,
  values: ManifestValues,
): Promise<Exclude<FilesRestored, { kind: 'moved-on' }>> {
  const restored = await restoreFiles(base.texts, change, image, values);
  if (restored.kind !== 'moved-on') return restored;
  const { file, found, cause } = restored;
  const { repository } = change;
  const last = await forge.lastChange(repository, base.commit, file);
  const later = last ? `, since ${last.sha.slice(0, 12)} of ${inert(last.author)}: ${inert(last.message)}` : '';
  throw new Refusal(
    'BaseMovedOn',
    `expected ${file} on ${change.base} of ${shown(repository)} to say ${proposal.after?.join(', ') ?? 'ours'}, found that ${found}${later}; put the previous image back by hand, or leave it as it is now`,
    last ? [last] : [],
    cause && { cause },
  );
}

function bodyOf({ plan, stage, image, reason, proposal }: RevertInput, { before, after }: ManifestValues): string {
  const said = (value = '') => (value === '' ? 'nothing' : code(value, 400));
  const lines = after.flatMap((value, index) => (value === before[index] ? [] : [`- ${said(before[index])} → ${said(value)}`]));
  return [
    `## Rollback of ${code(plan.service)} in ${prose(stage.name)}`,
    `**Why:** ${prose(reason, 1_000)}`,
    `**Image that is undone:** ${code(`${image.repository}:${image.tag}`, 400)} ${code(image.digest)}, proposed in ${proposal.url}`,
    '**Puts back:**',
    lines.join('\n'),
    '---',
    '_Proposed by Landfall. Only these values change: what else was committed since is kept._\n',
  ].join('\n\n');
}

/** Reports the required checks as passed: otherwise a branch that requires them would block every rollback. */
function checksOf({ checks }: Plan): CheckReport[] {
  return ['verify', ...checks.map(({ kind }) => kind)].map((name) => ({
    context: `landfall/${name}`,
    state: 'success',
    description: 'rollback to what was there before',
  }));
}
