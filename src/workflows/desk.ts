import { ApplicationFailure, condition, setHandler } from '@temporalio/workflow';
import type { Skipped } from '../domain/outcomes.ts';
import type { Plan } from '../domain/plan.ts';
import { type Decision, type RolloutState, type StepState, skippableSteps } from '../domain/rollout-state.ts';
import { nameOf } from '../domain/rollout-text.ts';
import { type Ending, endRollout } from './ending.ts';
import type { LaneSide } from './lane-side.ts';
import { abortUpdate, rejectUpdate, retryUpdate, skipUpdate } from './messages.ts';
import type { RolloutRecord, StepAt } from './rollout-record.ts';

type Verb = 'retry' | 'skip' | 'reject';
interface Made {
  readonly verb: Verb;
  readonly by: string;
  readonly reason: string;
}

/** Where a blocked step waits for an operator. */
export class Desk {
  readonly #plan: Plan;
  readonly #record: RolloutRecord;
  readonly #lane: LaneSide;
  readonly #made = new Map<string, Made>();
  aborted: Ending | undefined;

  constructor(plan: Plan, record: RolloutRecord, lane: LaneSide, cancel: () => void) {
    this.#plan = plan;
    this.#record = record;
    this.#lane = lane;
    const retry = (decision?: Decision): RolloutState => this.#take('retry', decision);
    const skip = (decision?: Decision): RolloutState => this.#take('skip', decision);
    const reject = (decision?: Decision): RolloutState => this.#take('reject', decision);
    const abort = (decision?: Decision): RolloutState => {
      this.aborted = { end: 'aborted', reason: `aborted by ${nameOfPerson(decision)}${because(decision)}` };
      cancel();
      return record.state;
    };
    setHandler(retryUpdate, retry, { validator: (decision?: Decision) => void this.#stepFor('retry', decision) });
    setHandler(skipUpdate, skip, { validator: (decision?: Decision) => void this.#stepFor('skip', decision) });
    setHandler(rejectUpdate, reject, { validator: (decision?: Decision) => void this.#stepFor('reject', decision) });
    setHandler(abortUpdate, abort, { validator: (_decision?: Decision) => this.#refuseWhenOver() });
  }

  /**
   * Waits until an operator has decided on a blocked step, and ends the rollout where that is what was decided, where nobody decides
   * in time, or where a newer image makes the question idle.
   */
  async decide(at: StepAt): Promise<'retry' | Skipped> {
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
        end: 'expired',
        reason: `${nameOf(at)} was blocked and nobody decided within ${Math.round(decideWithinMs / 60_000)} minutes`,
      });
    }
    if (made.verb === 'retry') return 'retry';
    if (made.verb === 'skip') return { kind: 'skipped', by: made.by, reason: made.reason };
    return endRollout({
      end: 'rejected',
      reason: `${nameOf(at)}: rejected by ${made.by}${made.reason && `: ${made.reason}`}`,
      quarantinedBy: made.by,
    });
  }

  #take(verb: Verb, decision: Decision | undefined): RolloutState {
    const step = this.#stepFor(verb, decision);
    this.#made.set(keyOf(step), { verb, by: nameOfPerson(decision), reason: reasonOf(decision) });
    return this.#record.state;
  }

  /** The one blocked step that a decision is about. Serves as the validator, so it changes nothing. */
  #stepFor(verb: Verb, decision: Decision | undefined): StepState {
    const open = this.#record.blocked().filter((step) => !this.#made.has(keyOf(step)));
    const wanted = open.filter(
      ({ step, stage }) => (decision?.step ?? step) === step && (decision?.stage === undefined || decision.stage === stage),
    );
    const [step, another] = wanted;
    if (step === undefined) return refuse(`cannot ${verb}: ${describeOpen(decision, open)}`);
    if (another !== undefined)
      return refuse(`cannot ${verb}: name the step (and stage), one of ${wanted.map(nameOf).join(', ')}`);
    if (verb === 'skip' && !skippableSteps.includes(step.step))
      return refuse(`${step.step} cannot be skipped: retry, reject or abort`);
    if (verb === 'skip' && !decision?.reason?.trim()) return refuse('a skip is a waiver and needs a reason');
    return step;
  }

  #refuseWhenOver(): void {
    if (this.aborted !== undefined) refuse('this rollout is being aborted already');
    if (this.#record.state.endedAt !== undefined) refuse(`this rollout has ended already: ${this.#record.state.status}`);
  }
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

/** Whoever has Temporal access can type any name, so a name alone is unverified. */
function nameOfPerson(decision: Decision | undefined): string {
  return `${decision?.by?.trim().slice(0, 100) || 'somebody with Temporal access'} (unverified)`;
}

function because(decision: Decision | undefined): string {
  return reasonOf(decision) && `: ${reasonOf(decision)}`;
}

/** Bounded, because it is kept in histories, memos and lanes. */
function reasonOf(decision: Decision | undefined): string {
  return decision?.reason?.trim().slice(0, 500) ?? '';
}

function refuse(message: string): never {
  throw ApplicationFailure.create({ type: 'DecisionRefused', message, nonRetryable: true });
}
