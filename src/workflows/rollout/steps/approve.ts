import { workflowInfo } from '@temporalio/workflow';
import type { Proposal } from '../../../domain/outcomes.ts';
import { nameOfPerson } from '../../../domain/person.ts';
import type { ApprovalPlan } from '../../../domain/plan.ts';
import { shortRollout, waiverText } from '../../../domain/rollout-text.ts';
import { endRollout } from '../ending.ts';
import type { Backoff } from '../poller.ts';
import type { StageRun } from '../stage-run.ts';
import { endClosed, proposalState } from './proposal-state.ts';
import { takeStep } from './take-step.ts';

/**
 * Waits until enough operators have approved: by the update `approve`, or by a review of the proposal's head. What they approve is this
 * rollout, which has one digest, and the change that this head brings. Landfall may bring the same change to a base that has moved on.
 */
export async function approve(run: StageRun, proposal: Proposal | undefined): Promise<void> {
  const { approval, name } = run.stage;
  if (approval === undefined) return;
  const deadline = Date.now() + approval.withinMs;
  run.approvals.open(name, approval, deadline, proposal?.head);
  const pending: PendingApproval = { run, proposal, approval, deadline };
  await takeStep(run, run.at('approve'), () => untilApproved(pending), { continues: true });
  const given = run.approvals.given(name);
  run.approvals.close(name);
  run.record.settle(run.at('approve'), 'passed', `approved by ${given.map(nameOfPerson).join(', ')}`);
}

interface PendingApproval {
  readonly run: StageRun;
  readonly proposal: Proposal | undefined;
  readonly approval: ApprovalPlan;
  /** Milliseconds since 1970. */
  readonly deadline: number;
}

/** @throws ApplicationFailure where the forge refuses to answer */
async function untilApproved(pending: PendingApproval): Promise<{ readonly kind: 'ready' }> {
  const { run, deadline } = pending;
  const { approvals, decisions, lane, notifier, record } = run;
  const { name } = run.stage;
  const at = run.at('approve');
  const backoff = run.poller.backoff();
  for (let isNotified = false; ; isNotified = true) {
    const remarks = await takeReviews(pending, backoff);
    if (approvals.isEnough(name)) return { kind: 'ready' };
    // After the reviews were read: one that was given in time counts, also where no webhook told of it.
    if (Date.now() >= deadline) endExpired(pending);
    const waived = record.waivers.map(waiverText);
    record.settle(at, 'waiting', [missing(pending), ...waived, ...remarks].join('; ').slice(0, 2_000));
    if (!isNotified) notifier.notify('approval', { stage: name, reason: missing(pending), advice: advice(pending) });
    const givenBefore = approvals.given(name).length;
    const isOver = (): boolean =>
      approvals.given(name).length > givenBefore || lane.supersededIn(name) !== undefined || decisions.isRejected(at);
    await backoff.pause(isOver, deadline - Date.now());
    decisions.endIfRejected(at);
    if (approvals.isEnough(name)) return { kind: 'ready' };
    lane.endIfSuperseded(name, 'its approval');
  }
}

/** @returns what people should know about reviews that do not count */
async function takeReviews({ run, proposal }: PendingApproval, backoff: Backoff): Promise<string[]> {
  if (proposal === undefined) return [];
  const state = await proposalState(run, proposal, backoff);
  if (state.kind === 'closed') return await endClosed(run, proposal, state.by);
  // Somebody may have merged before it was approved; what is deployed still waits for that.
  const reviews = state.kind === 'silent' ? [] : (state.reviews ?? []);
  return run.approvals.takeReviews(run.stage.name, reviews);
}

function missing({ run, approval: { from, required }, deadline }: PendingApproval): string {
  const given = run.approvals.given(run.stage.name).map(({ by }) => by);
  const open = from.map((approver) => approver.name).filter((approver) => !given.includes(approver));
  const sofar = given.length === 0 ? '' : `, approved by ${given.join(', ')}`;
  return `waits for ${required - given.length} of ${open.join(', ')} to approve, until ${new Date(deadline).toISOString()}${sofar}`;
}

function advice({ run: { stage }, proposal }: PendingApproval): string {
  const id = shortRollout(workflowInfo().workflowId);
  const review = proposal?.kind === 'pull-request' ? ', or a review of the pull request' : '';
  return `landfall approve ${id} --stage ${stage.name}, or landfall reject ${id} approve --stage ${stage.name}${review}`;
}

function endExpired({ run, approval: { withinMs, required } }: PendingApproval): never {
  const { name } = run.stage;
  const given = run.approvals.given(name).length;
  const within = withinMs < 120_000 ? `${withinMs / 1_000} seconds` : `${Math.round(withinMs / 60_000)} minutes`;
  return endRollout({ end: 'expired', reason: `${name} got ${given} of ${required} approvals within ${within}` });
}
