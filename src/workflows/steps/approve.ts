import type { Proposal, VerifiedImage } from '../../domain/outcomes.ts';
import { nameOfPerson } from '../../domain/person.ts';
import type { ApprovalPlan, StagePlan } from '../../domain/plan.ts';
import { endRollout } from '../ending.ts';
import type { Wait } from '../patience.ts';
import type { Rollout } from '../rollout-run.ts';
import { closedBy } from './closed.ts';
import { look } from './look.ts';

/**
 * Waits until enough operators have approved: by the update `approve`, or by a review of the proposal's head. What they approve is this
 * rollout, which has one digest.
 */
export async function approve(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  proposal: Proposal | undefined,
): Promise<void> {
  const { approval, name } = stage;
  if (approval === undefined) return;
  const at = { step: 'approve', stage: name } as const;
  run.record.begin(at);
  run.approvals.open(name, approval);
  const wait = run.patience.begin();
  const deadline = wait.sinceMs + approval.withinMs;
  let told = false;
  for (;;) {
    const remarks = proposal === undefined ? [] : await takeReviews(run, stage, image, proposal, wait);
    if (run.approvals.isEnough(name)) break;
    run.record.settle(at, 'waiting', [missing(run, stage, approval, deadline), ...remarks].join('; ').slice(0, 1_000));
    if (!told) run.tell.now('approval', { stage: name, reason: missing(run, stage, approval, deadline), advice: advice(stage) });
    told = true;
    const givenBefore = run.approvals.given(name).length;
    const isOver = (): boolean =>
      run.approvals.given(name).length > givenBefore || run.lane.supersededIn(name) !== undefined || run.desk.isRejected(at);
    await wait.pause(isOver, deadline - Date.now());
    run.desk.endIfRejected(at);
    if (run.approvals.isEnough(name)) break;
    run.lane.endIfSuperseded(name, 'its approval');
    if (Date.now() >= deadline) endExpired(run, stage, approval);
  }
  const given = run.approvals.given(name);
  run.approvals.close(name);
  run.record.settle(at, 'passed', `approved by ${given.map(nameOfPerson).join(', ')}`);
}

/** @returns what people should know about reviews that do not count */
async function takeReviews(
  run: Rollout,
  stage: StagePlan,
  image: VerifiedImage,
  proposal: Proposal,
  wait: Wait,
): Promise<string[]> {
  const standing = await look(run, stage, image, proposal, wait);
  if (standing.kind === 'closed') return await closedBy(run, stage, image, proposal, standing.by);
  return standing.kind === 'open' ? run.approvals.takeReviews(stage.name, proposal.head, standing.reviews) : [];
}

function missing(run: Rollout, { name }: StagePlan, { from, required }: ApprovalPlan, deadline: number): string {
  const given = run.approvals.given(name).map(({ by }) => by);
  const open = from.map((approver) => approver.name).filter((approver) => !given.includes(approver));
  const sofar = given.length === 0 ? '' : `, approved by ${given.join(', ')}`;
  return `waits for ${required - given.length} of ${open.join(', ')} to approve, until ${new Date(deadline).toISOString()}${sofar}`;
}

function advice({ name }: StagePlan): string {
  return `approve or reject the stage ${name}: landfall approve, or a review of the pull request`;
}

function endExpired(run: Rollout, { name }: StagePlan, { withinMs, required }: ApprovalPlan): never {
  const given = run.approvals.given(name).length;
  const within = withinMs < 120_000 ? `${withinMs / 1_000} seconds` : `${Math.round(withinMs / 60_000)} minutes`;
  return endRollout({ end: 'expired', reason: `${name} got ${given} of ${required} approvals within ${within}` });
}
