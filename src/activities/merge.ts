import { ApplicationFailure, Context } from '@temporalio/activity';
import type { BaseState, MergeActivities, ProposalInput, RevertInput, TidyInput } from '../contracts/activities/delivery.ts';
import { rollbackBranchOf } from '../domain/branch.ts';
import { Refusal } from '../domain/failures.ts';
import type { MergeOutcome, Proposal, ProposalState, RevertOutcome } from '../domain/outcomes.ts';
import type { ChangePlan } from '../domain/plan.ts';
import { mergeMessage, mergeTitle } from '../domain/proposal-commit.ts';
import type { Forge, OwnChange } from '../forges/forge.ts';
import { editManifest, manifestSays } from '../platform/manifest-editor/index.ts';
import { answering } from './boundary.ts';
import { baseHead, retryWhileBranchMoves, shown, uncancelled } from './change-branch.ts';
import { imageIn, previousIn } from './own-change.ts';
import { revert } from './revert.ts';

export interface MergeDependencies {
  /** @throws Refusal if the repository's forge is not configured */
  readonly forgeFor: (repository: string) => Forge;
}

export function createMerge({ forgeFor }: MergeDependencies): MergeActivities {
  const open = ({ stage, plan }: ProposalInput): { change: ChangePlan; forge: Forge } => {
    const { change } = stage;
    if (change === undefined) {
      throw ApplicationFailure.nonRetryable(`stage ${stage.name} of ${plan.service} has no change to merge`, 'NoChange');
    }
    return { change, forge: uncancelled(forgeFor(change.repository)) };
  };

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
          message: mergeMessage(plan.service, image, workflowId(), proposal.head),
        }),
      );
      if (outcome.kind !== 'merged') return outcome;
      const { found, ...merged } = outcome;
      if (found) await refuseUnlessHeld(input, change, forge, merged.commit);
      await deleteMerged(forge, change, proposal);
      return merged;
    }),

    tidyChange: answering(async (input: TidyInput): Promise<{ kind: 'tidied' }> => {
      const { change, forge } = open(input);
      const state = input.close ? await forge.state(change.repository, input.proposal, ownChangeOf(input, change)) : undefined;
      if (state?.kind === 'open' && state.head === input.proposal.head) await forge.close(change.repository, input.proposal);
      await forge.deleteBranch(change.repository, input.proposal.branch, input.proposal.head);
      return { kind: 'tidied' };
    }),

    baseHolds: answering(async (input: ProposalInput): Promise<BaseState> => {
      const { change, forge } = open(input);
      return lookAtBase(input, change, forge);
    }),

    revertChange: answering(async (input: RevertInput): Promise<RevertOutcome> => {
      const { change, forge } = open(input);
      return retryWhileBranchMoves(() => revert({ ...input, change, forge, rollout: workflowId() }));
    }),
  };
}

function workflowId(): string {
  return Context.current().info.workflowExecution?.workflowId ?? '';
}

async function lookAtBase({ image, proposal }: ProposalInput, change: ChangePlan, forge: Forge): Promise<BaseState> {
  const commit = await baseHead(forge, change);
  const text = await forge.readFile(change.repository, commit, change.file);
  if (text === undefined) return { kind: 'looked', holds: false, commit };
  const holds =
    proposal.after === undefined
      ? (await editManifest(text, change, image)).text === text
      : await manifestSays(text, change, image, proposal.after);
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
