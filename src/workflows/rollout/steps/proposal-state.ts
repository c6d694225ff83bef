import { log } from '@temporalio/workflow';
import type { TidyInput } from '../../../contracts/activities/delivery.ts';
import { failureTypes, isOneOf } from '../../../domain/failures.ts';
import type { Proposal, ProposalState, RateLimited } from '../../../domain/outcomes.ts';
import { failureOf } from '../../failure.ts';
import { unlimited } from '../../rate-limit.ts';
import type { RolloutContext } from '../context.ts';
import { type Ending, endRollout } from '../ending.ts';
import type { Backoff } from '../poller.ts';
import { type StageRun, stageRunOf } from '../stage-run.ts';
import { bestEffort, polling } from './proxies.ts';

/** `silent`: the forge did not answer, or asked us to wait. */
export type SeenProposal = Exclude<ProposalState, RateLimited> | { readonly kind: 'silent'; readonly reason: string };

/**
 * Asks the forge once how a proposal is.
 * @throws ApplicationFailure where the forge says no
 */
export async function proposalState(run: StageRun, proposal: Proposal, backoff: Backoff): Promise<SeenProposal> {
  backoff.attempt();
  try {
    const state = await polling.proposalState({ ...run.input(), proposal });
    if (state.kind === 'rate-limited') return { kind: 'silent', reason: `the forge asks to wait until ${state.until}` };
    return state;
  } catch (error) {
    const failure = failureOf(error);
    if (isOneOf(failureTypes, failure.type)) throw error;
    return { kind: 'silent', reason: `the forge does not answer: ${failure.message}` };
  }
}

/** A person has closed the proposal: that is a no to this image in this stage, and the branch goes. */
export async function endClosed(run: StageRun, proposal: Proposal, by: string | undefined): Promise<never> {
  await tidy({ ...run.input(), proposal });
  return endRollout({ end: 'rejected', reason: `${proposal.url} was closed by ${by ?? 'somebody'}` });
}

/** Closes what a rejected rollout proposed and did not merge. The turn is still held, so the proposal is not somebody else's by now. */
export async function closeRejected(context: RolloutContext, { end }: Ending): Promise<void> {
  const { start, record, lane } = context;
  if (end !== 'rejected' || lane.image === undefined) return;
  const { proposals } = record.state;
  for (const stage of start.plan.stages) {
    const proposal = proposals[stage.name];
    if (proposal === undefined || record.delivered.includes(stage.name)) continue;
    await tidy({ ...stageRunOf(context, stage, lane.image).input(), proposal, close: true });
  }
}

/** A branch or a proposal that stays is no failure of the rollout, whatever the forge says. */
export async function tidy(input: TidyInput): Promise<void> {
  try {
    await unlimited(() => bestEffort.tidyChange(input));
  } catch (error) {
    const { message } = failureOf(error);
    log.warn('what a rollout proposed could not be tidied up', { proposal: input.proposal.url, message });
  }
}
