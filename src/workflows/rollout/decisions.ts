import { setHandler, workflowInfo } from '@temporalio/workflow';
import {
  abortUpdate,
  approveUpdate,
  type RecordSubject,
  type RolloutStart,
  rejectUpdate,
  renewUpdate,
  retryUpdate,
  skipUpdate,
} from '../../contracts/messages.ts';
import { operatorPush } from '../../domain/image-push.ts';
import type { Review } from '../../domain/outcomes.ts';
import { nameOfPerson, typedName, typedReason } from '../../domain/person.ts';
import type { ApprovalPlan, Approver } from '../../domain/plan.ts';
import { type Approval, type Decision, maySkip, nameOf, type RunState, type StepState } from '../../domain/rollout-state.ts';
import { recordDecision } from '../audit.ts';
import { DecisionCounter, provenTriggerer, refuse } from '../operator-decision.ts';
import { type Ending, endRollout, type RolloutRecord, type StepAt } from './record.ts';

const updates = [
  ['retry', retryUpdate],
  ['renew', renewUpdate],
  ['skip', skipUpdate],
  ['reject', rejectUpdate],
  ['abort', abortUpdate],
] as const;
type Verb = (typeof updates)[number][0];
export interface MadeDecision {
  readonly verb: Exclude<Verb, 'abort'>;
  readonly by: string;
  readonly reason: string;
}

/** A stage that waits for its approval. */
export interface OpenApproval {
  readonly stage: string;
  readonly plan: ApprovalPlan;
  /** Milliseconds since 1970: what comes later does not count, whenever it is seen. */
  readonly deadline: number;
  /** The head of the proposal that is to be approved; absent where there is none. */
  readonly head: string | undefined;
  readonly given: Approval[];
}

/** No step of a plan: it is there once somebody has said to go on outside of the windows. */
export const windowStep = 'window';

/** What decisions have to know of what they are about. */
type DecidedStart = RecordSubject & Pick<RolloutStart, 'named'>;

/** What operators decide. An approval is bound to this rollout, and with it to its digest, and to the head that is proposed. */
export class OperatorDecisions {
  readonly #start: DecidedStart;
  readonly #record: RolloutRecord;
  readonly #cancel: () => void;
  readonly #counter = new DecisionCounter(() => this.#about());
  #pusher: RecordSubject['push'];
  /** By the name of the step. */
  readonly #made = new Map<string, MadeDecision>();
  /** By stage. */
  readonly #approvals = new Map<string, OpenApproval>();
  aborted: Ending | undefined;
  /** The stage that waits for one. */
  #window: string | undefined;
  /** Whether the configuration may have another plan for it. */
  readonly #mayRenew: boolean;

  /** @param cancel what `abort` does */
  constructor(start: DecidedStart, record: RolloutRecord, cancel: () => void, mayRenew = false) {
    this.#mayRenew = mayRenew;
    this.#start = start;
    this.#pusher = start.push;
    this.#record = record;
    this.#cancel = cancel;
  }

  handleUpdates(): void {
    for (const [verb, update] of updates) {
      setHandler(update, (decision?: Decision) => this.#decide(verb, decision), {
        validator: this.#counter.validator(verb, (decision?: Decision) => void this.#stepFor(verb, decision)),
      });
    }
    setHandler(approveUpdate, (decision?: Decision) => this.#approve(decision), {
      validator: this.#counter.validator('approve', (decision?: Decision) => this.#mayApprove(decision)),
    });
  }

  #about() {
    const { service, image } = this.#record.state;
    const { repository, digest } = image;
    return { service, repository, ...(digest !== undefined && { digest }) };
  }

  isMade(at: StepAt): boolean {
    return this.#made.has(nameOf(at));
  }

  /** @returns what was decided on a blocked step, once */
  take(at: StepAt): MadeDecision | undefined {
    const made = this.#made.get(nameOf(at));
    this.#made.delete(nameOf(at));
    return made;
  }

  /** A step that is not blocked, but waits for people: has somebody rejected it? */
  isRejected(at: StepAt | undefined): boolean {
    return at !== undefined && this.#made.get(nameOf(at))?.verb === 'reject';
  }

  /** Ends the rollout where somebody has rejected a step that waits for people. */
  endIfRejected(at: StepAt | undefined): void {
    if (at === undefined) return;
    const made = this.#made.get(nameOf(at));
    if (made?.verb === 'reject') endRejected(at, made);
  }

  #decide(verb: Verb, decision: Decision | undefined): RunState | Promise<RunState> {
    return this.#counter.withProof(verb, decision, (proven) => {
      const at = this.#stepFor(verb, decision);
      const by = nameOfPerson(proven ?? { by: typedName(decision?.by), verified: false });
      const reason = typedReason(decision?.reason);
      if (at !== undefined && verb !== 'abort') this.#made.set(nameOf(at), { verb, by, reason });
      const { step, stage } = at ?? {};
      const on = { ...(step && { step }), ...(stage && { stage }) };
      recordDecision(verb, { by, reason }, { ...this.#about(), ...on });
      this.#record.decided({ verb, by, ...(reason && { reason }), ...on, at: new Date().toISOString() });
      if (verb === 'abort') {
        this.aborted = { end: 'aborted', reason: `aborted by ${by}${reason && `: ${reason}`}` };
        this.#cancel();
      }
      return this.#record.state;
    });
  }

  /** The one blocked step that a decision is about; none for `abort`. Serves as the validator, so it changes nothing. */
  #stepFor(verb: Verb, decision: Decision | undefined): StepState | undefined {
    if (verb === 'abort') return this.#refuseWhenOver();
    if (verb === 'skip' && decision?.step === windowStep) return this.#closedWindow(decision);
    const deciding = verb === 'reject' ? this.#record.blockedOrAsking() : this.#record.blocked();
    const open = deciding.filter((step) => !this.isMade(step));
    const wanted = open.filter(
      ({ step, stage }) => (decision?.step ?? step) === step && (decision?.stage === undefined || decision.stage === stage),
    );
    const [step, another] = wanted;
    if (step === undefined) return refuse(`cannot ${verb}: ${describeOpen(decision, open)}`);
    if (another !== undefined)
      return refuse(`cannot ${verb}: name the step (and stage), one of ${wanted.map(nameOf).join(', ')}`);
    if (verb === 'renew' && (!this.#mayRenew || step.step === 'rollback')) return refuse(keepsPlan);
    if (verb === 'skip' && !maySkip(step)) return refuse(`${step.step} cannot be skipped: retry, reject or abort`);
    if (verb === 'skip' && !decision?.reason?.trim()) return refuse('a skip is a waiver and needs a reason');
    return step;
  }

  /** A stage waits for one of its windows; `undefined`: no more. */
  waitForWindow(stage: string | undefined): void {
    this.#window = stage;
  }

  /** Serves the validator, so it changes nothing. */
  #closedWindow({ stage = this.#window, reason }: Decision): StepState {
    if (this.#window === undefined || stage !== this.#window)
      return refuse('cannot skip: no such stage waits for its window now');
    if (!reason?.trim()) return refuse('a skip is a waiver and needs a reason');
    return { step: windowStep, stage, status: 'waiting' };
  }

  #refuseWhenOver(): undefined {
    const { endedAt, status } = this.#record.state;
    if (this.aborted !== undefined) refuse('this rollout is being aborted already');
    if (endedAt !== undefined) refuse(`this rollout has ended already: ${status}`);
  }

  openApproval(approval: Omit<OpenApproval, 'given'>): OpenApproval {
    const open: OpenApproval = { ...approval, given: [] };
    this.#approvals.set(open.stage, open);
    return open;
  }

  closeApproval(stage: string): void {
    this.#approvals.delete(stage);
  }

  /** Counts approving reviews of the head by named operators. @returns why the others do not count, for people */
  takeReviews(open: OpenApproval, reviews: readonly Review[]): string[] {
    const { head } = open;
    if (head === undefined) return [];
    return reviews.flatMap(({ by, byId, state, commit, at }) => {
      if (state !== 'approved') return [`${by} asks for changes`];
      const isNot = (why: string) => [`the review of ${by} does not count: ${why}`];
      const approver = open.plan.from.find((each) => isAccountOf(each, by, byId));
      if (approver === undefined) return isNot('no operator who may approve has this login (and id)');
      if (commit !== head) return isNot(`it is of ${short(commit)}, not of the head ${short(head)}`);
      if (Date.parse(at) >= open.deadline) return isNot(`it came at ${at}, which is too late`);
      const problem = this.#problemOf(open, approver);
      if (problem !== undefined) return isGiven(open, approver) ? [] : isNot(problem);
      this.#give(open, { by: approver.name, at, verified: true, way: 'review' });
      return [];
    });
  }

  #approve(decision: Decision | undefined): RunState | Promise<RunState> {
    return this.#counter.withProof('approve', decision, (proven) => {
      // While a proof was looked at, the same person may have approved by another way, or time may have run out.
      const { open, approver } = this.#approvalFor(decision);
      const reason = typedReason(decision?.reason);
      const { login } = proven ?? {};
      const given = {
        ...{ by: approver.name, at: new Date().toISOString(), verified: proven !== undefined },
        ...(login !== undefined && { login }),
      };
      this.#give(open, { ...given, way: 'decision', ...(reason && { reason }) });
      return this.#record.state;
    });
  }

  /** A decision with a proof has to name the head that it approves. */
  #mayApprove(decision: Decision | undefined): void {
    const { open } = this.#approvalFor(decision);
    if (open.head === undefined || decision?.proof === undefined || decision.head !== undefined) return;
    refuse(
      `the proof has to be for the proposal of ${open.stage}, whose head is ${short(open.head)}, and names none: approve with the command landfall of this version`,
    );
  }

  /** Serves the validator, so it changes nothing. */
  #approvalFor(decision: Decision | undefined): { open: OpenApproval; approver: Approver } {
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
    // Without a proof it is a name that anybody may have typed.
    const isOidc = decision?.login === 'oidc' && decision.proof !== undefined;
    const approver = open.plan.from.find(({ name, oidc }) => (isOidc ? oidc : name) === by);
    if (approver === undefined) {
      const advice = isOidc ? ' (operators: oidc says who somebody is who logs in)' : '';
      return refuse(`${by || 'nobody'} may not approve ${open.stage}: expected one of ${names}${advice}`);
    }
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
    const all = [...this.#approvals.values()];
    const open = all.find(({ stage }) => decision?.stage === undefined || decision.stage === stage);
    if (open !== undefined) return open;
    const where = decision?.stage === undefined ? 'this rollout' : `the stage ${decision.stage}`;
    const others = all.length === 0 ? '' : `; these do: ${all.map(({ stage }) => stage).join(', ')}`;
    return refuse(`${where} waits for no approval now${others}`);
  }

  #problemOf(open: OpenApproval, approver: Approver): string | undefined {
    if (isGiven(open, approver)) return `${approver.name} has approved ${open.stage} already: somebody else has to, too`;
    if (open.plan.selfApproval) return undefined;
    const problem = whyMayBePusher(this.#pusher, approver);
    return problem && `${problem}: ${open.stage} may not be approved by who pushed the image. ${selfApprovalAdvice}`;
  }

  /**
   * Who pushed, as far as that is proven: to be called before an approval that its pusher may not give. Of a trigger by hand, the worker that
   * knows the hashes of operators is asked.
   */
  async learnPusher(): Promise<void> {
    const { push } = this.#start;
    if (push.trigger?.proof === undefined || this.#pusher.proven !== undefined) return;
    if (Math.abs(workflowInfo().startTime.getTime() - Date.parse(push.receivedAt)) > longestTriggerMs) return;
    const { image, named, plan } = this.#start;
    const { repository, tag, digest } = image;
    const asked = { service: plan.service, push: { ...push, repository, tag }, digest: named ? digest : undefined };
    const proven = await provenTriggerer(asked);
    // Otherwise it stays a claim, which is what people are told.
    if (proven !== undefined) this.#pusher = { ...push, ...operatorPush(proven.operator ?? nameOfPerson(proven)) };
  }

  #give({ stage, head, given }: OpenApproval, approval: Approval): void {
    given.push({ ...approval, ...(head !== undefined && { head }) });
    this.#record.approved(stage, given);
    const { at, reason, way } = approval;
    const by = nameOfPerson(approval);
    const said = { verb: 'approve', by, ...(reason !== undefined && { reason }), step: 'approve', stage, at } as const;
    this.#record.decided({ ...said, ...(way === 'review' && { way }) });
    recordDecision(
      'approve',
      { by, reason },
      { ...this.#about(), stage, step: 'approve', ...(way === 'review' && { source: 'github' }) },
    );
  }
}

export function endRejected(at: StepAt, { by, reason }: Omit<MadeDecision, 'verb'>): never {
  const why = `${nameOf(at)}: rejected by ${by}${reason && `: ${reason}`}`;
  return endRollout({ end: 'rejected', reason: why, quarantinedBy: by });
}

const keepsPlan =
  'cannot retry with the new configuration: a rollback keeps the plan that brought the image, and a build its own';

function describeOpen(decision: Decision | undefined, open: readonly StepState[]): string {
  const what =
    decision?.step === undefined
      ? 'no step'
      : `${decision.stage === undefined ? '' : `${decision.stage} `}${decision.step} is not blocked: no such step`;
  return `${what} waits for a decision${open.length === 0 ? '' : `; these do: ${open.map(nameOf).join(', ')}`}`;
}

function isGiven({ given }: OpenApproval, { name }: Approver): boolean {
  return given.some(({ by }) => by === name);
}

/** A proof that was made long before the rollout is one from somebody's history. */
const longestTriggerMs = 3_600_000;

const selfApprovalAdvice =
  'A source proves who pushed by an event that GitHub signs, or by the OIDC token of a job of GitHub; landfall trigger does with LANDFALL_TOKEN. Or set selfApproval: true';

/** Why it cannot be ruled out that somebody pushed this image. Names of other registries are nobody's here, so they rule nobody out. */
function whyMayBePusher({ actor, trigger, proven, source }: RecordSubject['push'], approver: Approver): string | undefined {
  const { name, github } = approver;
  const isProven = proven?.fields.includes('actor') ?? false;
  if (actor === undefined || !isProven) {
    const claimed = actor ?? trigger?.by;
    return claimed === undefined
      ? 'nobody knows who pushed this image'
      : `that ${claimed} pushed this image is only claimed, by way of ${source}`;
  }
  if (proven?.actorOf === 'operators') return actor === name ? `${name} triggered this image` : undefined;
  if (proven?.actorOf !== 'github') return `${actor} pushed this image, and nobody knows which operator that is`;
  if (github === undefined)
    return `${actor} pushed this image, and ${name} has no login at GitHub (operators: github) that could be another`;
  return isAccountOf(approver, actor, proven.actorId) ? `${name} pushed this image (as ${actor})` : undefined;
}

/** By the id where both are known, else by the login. */
function isAccountOf({ github, githubId }: Approver, login: string, id: number | undefined): boolean {
  return githubId !== undefined && id !== undefined ? githubId === id : same(github, login);
}

/** GitHub does not tell cases apart. */
function same(login: string | undefined, other: string): boolean {
  return login?.toLowerCase() === other.toLowerCase();
}

function short(commit: string): string {
  return commit.slice(0, 12);
}
