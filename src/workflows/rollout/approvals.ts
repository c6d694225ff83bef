import { setHandler } from '@temporalio/workflow';
import { approveUpdate, type RolloutStart } from '../../contracts/messages.ts';
import type { Review } from '../../domain/outcomes.ts';
import { nameOfPerson, typedReason } from '../../domain/person.ts';
import type { ApprovalPlan, Approver } from '../../domain/plan.ts';
import type { Approval, Decision, RolloutState } from '../../domain/rollout-state.ts';
import { recordDecision } from '../audit.ts';
import { refuse } from '../refusing.ts';
import type { RolloutRecord } from './record.ts';

/** Who has proven to be who, by way of the operator's token. */
export type Prove = (verb: 'approve', decision: Decision) => Promise<string>;

/** A stage that waits for its approval. */
interface OpenApproval {
  readonly stage: string;
  readonly plan: ApprovalPlan;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  /** The head of the proposal that is to be approved; absent where there is none. */
  readonly head: string | undefined;
  readonly given: Approval[];
}

/** Where operators approve a stage. Each approval is bound to this rollout, and with it to its digest, and to the head that is proposed. */
export class Approvals {
  readonly #start: RolloutStart;
  readonly #record: RolloutRecord;
  readonly #prove: Prove;
  readonly #open = new Map<string, OpenApproval>();

  constructor(start: RolloutStart, record: RolloutRecord, prove: Prove) {
    this.#start = start;
    this.#record = record;
    this.#prove = prove;
  }

  handleUpdates(): void {
    setHandler(approveUpdate, (decision?: Decision) => this.#take(decision), {
      validator: (decision?: Decision) => this.#validate(decision),
    });
  }

  /** @param deadline milliseconds since 1970: what comes later does not count, whenever it is seen */
  open(stage: string, plan: ApprovalPlan, deadline: number, head: string | undefined): void {
    this.#open.set(stage, { stage, plan, deadline, head, given: [] });
  }

  close(stage: string): void {
    this.#open.delete(stage);
  }

  given(stage: string): readonly Approval[] {
    return this.#open.get(stage)?.given ?? [];
  }

  isEnough(stage: string): boolean {
    const open = this.#open.get(stage);
    return open !== undefined && open.given.length >= open.plan.required;
  }

  /**
   * Counts the reviews of the proposal that approve its head and are by a named operator.
   * @returns why the others do not count, for people
   */
  takeReviews(stage: string, reviews: readonly Review[]): string[] {
    const open = this.#open.get(stage);
    if (open?.head === undefined) return [];
    const { head } = open;
    return reviews.flatMap(({ by, state, commit, at }) => {
      if (state !== 'approved') return [`${by} asks for changes`];
      const approver = open.plan.from.find(({ github }) => same(github, by));
      if (approver === undefined) return [`the review of ${by} does not count: no operator who may approve has this login`];
      if (commit !== head)
        return [`the review of ${by} does not count: it is of ${short(commit)}, not of the head ${short(head)}`];
      if (Date.parse(at) >= open.deadline) return [`the review of ${by} does not count: it came at ${at}, which is too late`];
      const problem = this.#problemOf(open, approver);
      if (problem !== undefined) return isGiven(open, approver) ? [] : [`the review of ${by} does not count: ${problem}`];
      this.#give(open, { by: approver.name, at, verified: true, way: 'review' });
      return [];
    });
  }

  #take(decision: Decision | undefined): RolloutState | Promise<RolloutState> {
    const { open, approver } = this.#check(decision);
    const reason = typedReason(decision?.reason);
    const give = (verified: boolean): RolloutState => {
      const approval = { by: approver.name, at: new Date().toISOString(), verified, way: 'decision' } as const;
      this.#give(open, { ...approval, ...(reason && { reason }) });
      return this.#record.state;
    };
    if (decision?.proof === undefined) return give(false);
    // While the proof was looked at, the same person may have approved by another way, or time may have run out.
    return this.#prove('approve', decision).then(() => {
      this.#check(decision);
      return give(true);
    });
  }

  /** A decision with a proof has to name the head that it approves. */
  #validate(decision: Decision | undefined): void {
    const { open } = this.#check(decision);
    if (open.head === undefined || decision?.proof === undefined || decision.head !== undefined) return;
    refuse(
      `the proof has to be for the proposal of ${open.stage}, whose head is ${short(open.head)}, and names none: approve with the command landfall of this version`,
    );
  }

  /** Serves the validator, so it changes nothing. */
  #check(decision: Decision | undefined): { open: OpenApproval; approver: Approver } {
    const { status, endedAt, image } = this.#record.state;
    if (endedAt !== undefined) refuse(`this rollout has ended already: ${status}`);
    const open = this.#openFor(decision);
    if (Date.now() >= open.deadline) {
      refuse(`${open.stage} could be approved until ${new Date(open.deadline).toISOString()}: that was too late`);
    }
    const { digest } = image;
    if (decision?.digest !== undefined && decision.digest !== digest) {
      refuse(`this rollout is about ${digest}, and the approval is for ${decision.digest}: approve the rollout of that digest`);
    }
    if (decision?.head !== undefined && decision.head !== open.head) {
      const found = open.head === undefined ? 'no proposal' : `its proposal at ${short(open.head)}`;
      refuse(
        `${open.stage} has ${found}, and the approval is for ${short(decision.head)}: look at what it is now, and approve that`,
      );
    }
    const by = decision?.by?.trim();
    const names = open.plan.from.map(({ name }) => name).join(', ');
    const approver = open.plan.from.find(({ name }) => name === by);
    if (approver === undefined) return refuse(`${by || 'nobody'} may not approve ${open.stage}: expected one of ${names}`);
    if (open.plan.verified && decision?.proof === undefined) {
      refuse(
        `${open.stage} takes verified approvals only: approve with the operator's token (LANDFALL_TOKEN), or by a review of the pull request`,
      );
    }
    const problem = this.#problemOf(open, approver);
    if (problem !== undefined) refuse(problem);
    return { open, approver };
  }

  #openFor(decision: Decision | undefined): OpenApproval {
    const all = [...this.#open.values()];
    const wanted = all.filter(({ stage }) => decision?.stage === undefined || decision.stage === stage);
    const [open] = wanted;
    if (open !== undefined) return open;
    const where = decision?.stage === undefined ? 'this rollout' : `the stage ${decision.stage}`;
    const others = all.length === 0 ? '' : `; these do: ${all.map(({ stage }) => stage).join(', ')}`;
    return refuse(`${where} waits for no approval now${others}`);
  }

  #problemOf(open: OpenApproval, approver: Approver): string | undefined {
    if (isGiven(open, approver)) return `${approver.name} has approved ${open.stage} already: somebody else has to, too`;
    if (open.plan.selfApproval) return undefined;
    const { actor } = this.#start.push;
    if (actor === undefined) {
      return `${open.stage} may not be approved by who pushed the image, and nobody knows who did: set selfApproval, or trigger it as somebody`;
    }
    if (same(approver.github, actor) || same(approver.name, actor)) {
      return `${approver.name} pushed this image (as ${actor}): somebody else has to approve ${open.stage}`;
    }
    return undefined;
  }

  #give(open: OpenApproval, approval: Approval): void {
    open.given.push({ ...approval, ...(open.head !== undefined && { head: open.head }) });
    this.#record.approved(open.stage, open.given);
    const { service, image } = this.#record.state;
    const { repository, digest } = image;
    recordDecision(
      'approve',
      { by: nameOfPerson(approval), reason: approval.reason },
      { service, repository, digest, stage: open.stage, step: 'approve', ...(approval.way === 'review' && { source: 'github' }) },
    );
  }
}

function isGiven({ given }: OpenApproval, { name }: Approver): boolean {
  return given.some(({ by }) => by === name);
}

/** GitHub does not tell cases apart. */
function same(login: string | undefined, other: string): boolean {
  return login?.toLowerCase() === other.toLowerCase();
}

function short(commit: string): string {
  return commit.slice(0, 12);
}
