import { condition, setHandler } from '@temporalio/workflow';
import { abortUpdate, rejectUpdate, retryUpdate, skipUpdate } from '../../contracts/messages.ts';
import type { Skipped } from '../../domain/outcomes.ts';
import { nameOfPerson, typedName, typedReason } from '../../domain/person.ts';
import type { Plan } from '../../domain/plan.ts';
import { type Decision, maySkip, type RolloutState, type StepState } from '../../domain/rollout-state.ts';
import { nameOf } from '../../domain/rollout-text.ts';
import { recordDecision } from '../audit.ts';
import { refuse } from '../refusing.ts';
import { type Ending, endRollout } from './ending.ts';
import type { LaneClient } from './lane-client.ts';
import type { RolloutRecord, StepAt } from './record.ts';

type StepDecision = 'retry' | 'skip' | 'reject';
interface MadeDecision {
  readonly verb: StepDecision;
  readonly by: string;
  readonly reason: string;
}

/** Asks who made a decision that carries a proof. */
export type WhoDecided = (verb: string, decision: Decision) => Promise<string>;

/** What is different about a step's decision. */
export interface DecisionRules {
  /** What an operator's `reject` does; else the rollout ends `rejected`. Throws. */
  readonly rejected?: (by: string, reason: string) => never;
  /** How the rollout ends where nobody decides. */
  readonly undecided?: 'expired' | 'failed';
}

interface DecisionParts {
  readonly plan: Plan;
  readonly record: RolloutRecord;
  readonly lane: Pick<LaneClient, 'supersededIn'>;
  readonly whoDecided: WhoDecided;
  /** What `abort` does. */
  readonly cancel: () => void;
}

/** What operators decide about blocked steps, and about those that wait for people. */
export class OperatorDecisions {
  readonly #plan: Plan;
  readonly #record: RolloutRecord;
  readonly #lane: Pick<LaneClient, 'supersededIn'>;
  readonly #whoDecided: WhoDecided;
  readonly #cancel: () => void;
  readonly #made = new Map<string, MadeDecision>();
  aborted: Ending | undefined;

  constructor({ plan, record, lane, whoDecided, cancel }: DecisionParts) {
    this.#plan = plan;
    this.#record = record;
    this.#lane = lane;
    this.#whoDecided = whoDecided;
    this.#cancel = cancel;
  }

  handleUpdates(): void {
    const retry = (decision?: Decision) => this.#take('retry', decision);
    const skip = (decision?: Decision) => this.#take('skip', decision);
    const reject = (decision?: Decision) => this.#take('reject', decision);
    const abort = (decision?: Decision) =>
      this.#byWhom('abort', decision, (by) => {
        this.#refuseWhenOver();
        this.aborted = { end: 'aborted', reason: `aborted by ${by}${because(decision)}` };
        this.#audit('abort', by, decision);
        this.#cancel();
        return this.#record.state;
      });
    setHandler(retryUpdate, retry, { validator: (decision?: Decision) => void this.#stepFor('retry', decision) });
    setHandler(skipUpdate, skip, { validator: (decision?: Decision) => void this.#stepFor('skip', decision) });
    setHandler(rejectUpdate, reject, { validator: (decision?: Decision) => void this.#stepFor('reject', decision) });
    setHandler(abortUpdate, abort, { validator: (_decision?: Decision) => this.#refuseWhenOver() });
  }

  /**
   * Waits until an operator has decided on a blocked step, and ends the rollout where that is what was decided, where nobody decides
   * in time, or where a newer image makes the question pointless.
   */
  async decide(at: StepAt, { rejected, undecided = 'expired' }: DecisionRules = {}): Promise<'retry' | Skipped> {
    const { decideWithinMs } = this.#plan;
    const isOver = (): boolean => this.#made.has(keyOf(at)) || this.#lane.supersededIn(at.stage) !== undefined;
    const inTime = await condition(isOver, decideWithinMs);
    const made = this.#made.get(keyOf(at));
    this.#made.delete(keyOf(at));
    if (made === undefined) {
      const by = this.#lane.supersededIn(at.stage);
      if (by !== undefined) return endRollout({ end: 'superseded', reason: `by ${by}, while ${nameOf(at)} was blocked` });
    }
    if (!inTime || made === undefined) {
      return endRollout({
        end: undecided,
        reason: `${nameOf(at)} was blocked and nobody decided within ${Math.round(decideWithinMs / 60_000)} minutes`,
      });
    }
    if (made.verb === 'retry') return 'retry';
    if (made.verb === 'skip') return { kind: 'skipped', by: made.by, reason: made.reason };
    rejected?.(made.by, made.reason);
    return endRejected(at, made);
  }

  /** A step that is not blocked, but waits for people: has somebody rejected it? */
  isRejected(at: StepAt): boolean {
    return this.#made.get(keyOf(at))?.verb === 'reject';
  }

  /** Ends the rollout where somebody has rejected a step that waits for people. */
  endIfRejected(at: StepAt): void {
    const made = this.#made.get(keyOf(at));
    if (made?.verb === 'reject') endRejected(at, made);
  }

  /** Without a proof it is answered at once; with one, the worker that knows the operators' hashes is asked first. */
  #byWhom(verb: string, decision: Decision | undefined, act: (by: string) => RolloutState): RolloutState | Promise<RolloutState> {
    if (decision?.proof === undefined) return act(nameOfPerson({ by: typedName(decision?.by), verified: false }));
    return this.#whoDecided(verb, decision).then(act);
  }

  #take(verb: StepDecision, decision: Decision | undefined): RolloutState | Promise<RolloutState> {
    return this.#byWhom(verb, decision, (by) => {
      const step = this.#stepFor(verb, decision);
      this.#made.set(keyOf(step), { verb, by, reason: typedReason(decision?.reason) });
      this.#audit(verb, by, decision, step);
      return this.#record.state;
    });
  }

  #audit(action: string, by: string, decision: Decision | undefined, at?: StepAt): void {
    const { service, image } = this.#record.state;
    const author = { by, reason: typedReason(decision?.reason) };
    recordDecision(action, author, {
      ...{ service, repository: image.repository, digest: image.digest },
      ...(at !== undefined && { step: at.step }),
      ...(at?.stage !== undefined && { stage: at.stage }),
    });
  }

  /** The one blocked step that a decision is about. Serves as the validator, so it changes nothing. */
  #stepFor(verb: StepDecision, decision: Decision | undefined): StepState {
    const deciding = verb === 'reject' ? this.#record.blockedOrAsking() : this.#record.blocked();
    const open = deciding.filter((step) => !this.#made.has(keyOf(step)));
    const wanted = open.filter(
      ({ step, stage }) => (decision?.step ?? step) === step && (decision?.stage === undefined || decision.stage === stage),
    );
    const [step, another] = wanted;
    if (step === undefined) return refuse(`cannot ${verb}: ${describeOpen(decision, open)}`);
    if (another !== undefined)
      return refuse(`cannot ${verb}: name the step (and stage), one of ${wanted.map(nameOf).join(', ')}`);
    if (verb === 'skip' && !maySkip(step)) return refuse(`${step.step} cannot be skipped: retry, reject or abort`);
    if (verb === 'skip' && !decision?.reason?.trim()) return refuse('a skip is a waiver and needs a reason');
    return step;
  }

  #refuseWhenOver(): void {
    if (this.aborted !== undefined) refuse('this rollout is being aborted already');
    if (this.#record.state.endedAt !== undefined) refuse(`this rollout has ended already: ${this.#record.state.status}`);
  }
}

function endRejected(at: StepAt, { by, reason }: MadeDecision): never {
  return endRollout({
    end: 'rejected',
    reason: `${nameOf(at)}: rejected by ${by}${reason && `: ${reason}`}`,
    quarantinedBy: by,
  });
}

function describeOpen(decision: Decision | undefined, open: readonly StepState[]): string {
  const what =
    decision?.step === undefined
      ? 'no step'
      : `${decision.stage === undefined ? '' : `${decision.stage} `}${decision.step} is not blocked: no such step`;
  return `${what} waits for a decision${open.length === 0 ? '' : `; these do: ${open.map(nameOf).join(', ')}`}`;
}

function keyOf({ step, stage }: StepAt): string {
  return `${stage ?? ''}/${step}`;
}

function because(decision: Decision | undefined): string {
  const reason = typedReason(decision?.reason);
  return reason && `: ${reason}`;
}
