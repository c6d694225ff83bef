import type { Proposal, VerifiedImage } from '../../../domain/outcomes.ts';
import { nameOfPerson } from '../../../domain/person.ts';
import type { ApprovalPlan, StagePlan } from '../../../domain/plan.ts';
import { shortRollout, waiverText } from '../../../domain/rollout-text.ts';
import type { Rollout } from '../context.ts';
import { endRollout } from '../ending.ts';
import type { Wait } from '../poller.ts';
import { closedBy } from './closed.ts';
import { look } from './look.ts';
import { takeStep } from './take-step.ts';

/**
 * Waits until enough operators have approved: by the update `approve`, or by a review of the proposal's head. What they approve is this
 * rollout, which has one digest, and the change that this head brings. Landfall may bring the same change to a base that has moved on.
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
  const deadline = Date.now() + approval.withinMs;
  run.approvals.open(name, approval, deadline, proposal?.head);
  const asking: Asking = { run, stage, image, proposal, approval, deadline, told: false };
  await takeStep(run, at, () => untilApproved(asking), { continues: true });
  const given = run.approvals.given(name);
  run.approvals.close(name);
  run.record.settle(at, 'passed', `approved by ${given.map(nameOfPerson).join(', ')}`);
}

interface Asking {
  readonly run: Rollout;
  readonly stage: StagePlan;
  readonly image: VerifiedImage;
  readonly proposal: Proposal | undefined;
  readonly approval: ApprovalPlan;
  readonly deadline: number;
  /** People were told that they are asked. */
  told: boolean;
}

/** @throws ApplicationFailure where the forge refuses to be looked at */
async function untilApproved(asking: Asking): Promise<{ readonly kind: 'ready' }> {
  const { run, stage, approval, deadline } = asking;
  const { name } = stage;
  const at = { step: 'approve', stage: name } as const;
  const wait = run.patience.begin();
  for (;;) {
    const remarks = await takeReviews(asking, wait);
    if (run.approvals.isEnough(name)) return { kind: 'ready' };
    // After the look: whoever reviewed in time is counted, also where no webhook told of it.
    if (Date.now() >= deadline) endExpired(run, stage, approval);
    const waived = run.record.waivers.map(waiverText);
    run.record.settle(at, 'waiting', [missing(run, stage, approval, deadline), ...waived, ...remarks].join('; ').slice(0, 2_000));
    if (!asking.told)
      run.tell.now('approval', { stage: name, reason: missing(run, stage, approval, deadline), advice: advice(asking) });
    asking.told = true;
    const givenBefore = run.approvals.given(name).length;
    const isOver = (): boolean =>
      run.approvals.given(name).length > givenBefore || run.lane.supersededIn(name) !== undefined || run.desk.isRejected(at);
    await wait.pause(isOver, deadline - Date.now());
    run.desk.endIfRejected(at);
    if (run.approvals.isEnough(name)) return { kind: 'ready' };
    run.lane.endIfSuperseded(name, 'its approval');
  }
}

/** @returns what people should know about reviews that do not count */
async function takeReviews({ run, stage, image, proposal }: Asking, wait: Wait): Promise<string[]> {
  if (proposal === undefined) return [];
  const standing = await look(run, stage, image, proposal, wait);
  if (standing.kind === 'closed') return await closedBy(run, stage, image, proposal, standing.by);
  // Somebody may have merged before it was approved; what is deployed still waits for that.
  const reviews = standing.kind === 'silent' ? [] : (standing.reviews ?? []);
  return run.approvals.takeReviews(stage.name, reviews);
}

function missing(run: Rollout, { name }: StagePlan, { from, required }: ApprovalPlan, deadline: number): string {
  const given = run.approvals.given(name).map(({ by }) => by);
  const open = from.map((approver) => approver.name).filter((approver) => !given.includes(approver));
  const sofar = given.length === 0 ? '' : `, approved by ${given.join(', ')}`;
  return `waits for ${required - given.length} of ${open.join(', ')} to approve, until ${new Date(deadline).toISOString()}${sofar}`;
}

function advice({ run, stage: { name }, proposal }: Asking): string {
  const id = shortRollout(run.id);
  // Plain git has no pull request that could be reviewed.
  const review = proposal?.number === undefined ? '' : ', or a review of the pull request';
  return `landfall approve ${id} --stage ${name}, or landfall reject ${id} approve --stage ${name}${review}`;
}

function endExpired(run: Rollout, { name }: StagePlan, { withinMs, required }: ApprovalPlan): never {
  const given = run.approvals.given(name).length;
  const within = withinMs < 120_000 ? `${withinMs / 1_000} seconds` : `${Math.round(withinMs / 60_000)} minutes`;
  return endRollout({ end: 'expired', reason: `${name} got ${given} of ${required} approvals within ${within}` });
}
