import { CancellationScope, condition, proxyLocalActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { LaneActivities, LaneCall } from '../../contracts/activities/lane.ts';
import {
  grantSignal,
  type MergeTurn,
  progressSignal,
  type RolloutStart,
  supersededQuery,
  supersedeSignal,
} from '../../contracts/messages.ts';
import type { Digest } from '../../domain/image-reference.ts';
import type { EntryAnswer } from '../../domain/lane/members.ts';
import type { BeginAnswer, RolledBackReport, RolloutRun, Running } from '../../domain/lane/state.ts';
import type { TurnRequest } from '../../domain/lane/turns.ts';
import type { VerifiedImage } from '../../domain/outcomes.ts';
import type { StagePlan } from '../../domain/plan.ts';
import { shortRollout } from '../../domain/rollout-state.ts';
import { type OperatorDecisions, windowStep } from './decisions.ts';
import { type Ending, endRollout, type RolloutRecord, type StepAt } from './record.ts';

/** Local activities, because a workflow cannot send an update to another one; each is one event of history. */
const calls = proxyLocalActivities<LaneActivities>({
  startToCloseTimeout: '10s',
  retry: { initialInterval: '200ms', maximumInterval: '10s' },
});

/** A waiting rollout asks again after so long, because a lane that was terminated forgets who waited. */
const askAgainAfter = '10m';
const shortestPauseMs = 5_000;
const longestPauseMs = 15 * 60_000;

/** What a rollback asks its turn for. */
export type RollbackTurn = NonNullable<TurnRequest['rollback']>;

/** The turn that allows a change, and what the stage ran before it, where Landfall deployed that. */
export type Allowed = Extract<BeginAnswer, { kind: 'go' }>;

/** What became of one stage: the rollout ends there; `reached`: it has the image now; `skipped`: nothing was brought to it. */
export type StageOutcome = Ending | 'reached' | 'skipped';

/** Something outside that is asked again and again: often at first, then ever more rarely, and at once after a signal `progress`. */
export interface Backoff {
  readonly sinceMs: number;
  /** To be called before each attempt, so that a signal which comes during it is not lost. */
  attempt(): void;
  /** Until a signal, until waiting is pointless, or until the next attempt is due. @param atMost milliseconds */
  pause(atMost?: number, isOver?: () => boolean): Promise<void>;
}

/** How a rollout talks to its lane: it enters, waits for its turns, learns that a newer image goes first, and leaves. */
export class LaneClient {
  readonly #start: RolloutStart;
  readonly #record: RolloutRecord;
  readonly #decisions: OperatorDecisions;
  readonly #rollback: RollbackTurn | undefined;
  readonly #granted = new Set<string>();
  readonly #begun = new Set<string>();
  /** By stage, or undefined in the checks: the rollout that goes first. */
  readonly #superseded = new Map<string | undefined, string>();
  #progress = 0;
  #entered = false;
  /** What was verified; absent before that. */
  image: VerifiedImage | undefined;
  /** What the tag was when it was verified last, before this rollout. */
  newest: Digest | undefined;
  /** What the tag points to, where that is not what this rollout is about. */
  tagIs: Digest | undefined;

  constructor(start: RolloutStart, record: RolloutRecord, decisions: OperatorDecisions, rollback?: RollbackTurn) {
    this.#start = start;
    this.#record = record;
    this.#decisions = decisions;
    this.#rollback = rollback;
  }

  handleSignals(): void {
    setHandler(grantSignal, ({ stage }) => void this.#granted.add(stage));
    setHandler(supersedeSignal, ({ by, where }) => {
      this.#superseded.set(where === 'checks' ? undefined : where.stage, by);
    });
    setHandler(supersededQuery, () => this.supersededIn(undefined));
    setHandler(progressSignal, () => {
      this.#progress += 1;
    });
  }

  get #me(): RolloutRun {
    const { workflowId: rollout, runId } = workflowInfo();
    return { rollout, runId };
  }

  #call<Request>(request: Request): LaneCall<RolloutRun & Request> {
    return { service: this.#start.plan.service, request: { ...this.#me, ...request } };
  }

  get #stages(): string[] {
    return this.#start.plan.stages.map(({ name }) => name);
  }

  /** The rollout that makes waiting pointless: in the checks (no stage) one that is verified, in a stage one that asks for its turn. */
  supersededIn(stage: string | undefined): string | undefined {
    return stage !== undefined && this.#begun.has(stage) ? undefined : this.#superseded.get(stage);
  }

  /** Ends the rollout where a newer image makes waiting in a stage pointless. */
  endIfSuperseded(stage: string, meanwhile: string): void {
    const by = this.supersededIn(stage);
    if (by !== undefined) endRollout({ end: 'superseded', reason: `by ${by}, while it waited for ${meanwhile}` });
  }

  /** Waiting in a stage is pointless once a newer image goes first, or somebody has rejected the step. */
  backoff(stage: string, at?: StepAt): Backoff {
    const sinceMs = Date.now();
    let seen = this.#progress;
    return {
      sinceMs,
      attempt: () => {
        seen = this.#progress;
      },
      pause: async (atMost = longestPauseMs, isOver = () => false) => {
        // A quarter of the time waited so far: after an hour an attempt is at most a quarter of an hour late, and history stays short.
        const grown = Math.min(longestPauseMs, Math.max(shortestPauseMs, (Date.now() - sinceMs) / 4));
        const isPointless = () => this.supersededIn(stage) !== undefined || this.#decisions.isRejected(at);
        await condition(() => this.#progress > seen || isPointless() || isOver(), Math.max(1, Math.min(grown, atMost)));
      },
    };
  }

  /** Asks first, so that a redelivery of something known touches nothing. */
  async enter(): Promise<void> {
    const { image, manual = false } = this.#start;
    const { tag, digest } = image;
    this.#entered = true;
    const answer = await calls.enterLane(this.#call({ tag, digest, manual, stages: this.#stages }));
    this.#entered = answer.kind === 'admitted';
    this.#endUnlessAdmitted(answer);
    if (answer.kind === 'admitted') this.newest = answer.newest;
  }

  async reportVerified(image: VerifiedImage): Promise<void> {
    const { tag, digest, created } = image;
    this.image = image;
    const report = this.#call({
      ...{ policy: this.#start.plan.tags, tag, digest, stages: this.#stages },
      ...(created !== undefined && { created }),
      ...(this.#start.promotion !== undefined && { promotion: true }),
      ...(this.tagIs !== undefined && { instead: this.tagIs }),
    });
    const answer = await calls.reportVerified(report);
    this.#endUnlessAdmitted(answer);
    if (answer.kind === 'admitted' && answer.supersededBy !== undefined) this.#superseded.set(undefined, answer.supersededBy);
  }

  #endUnlessAdmitted(answer: EntryAnswer): void {
    if (answer.kind === 'unchanged') endRollout({ end: 'unchanged', reason: answer.reason });
    if (answer.kind !== 'quarantined') return;
    const { plan, image, manual } = this.#start;
    const advice = manual ? `; landfall unquarantine ${plan.service} ${image.digest} lets it out` : '';
    endRollout({ end: 'rejected', reason: `Quarantined: ${answer.reason}${advice}` });
  }

  /** Does something in a stage while no other rollout of the service does. The turn is kept when that ends the rollout. */
  async inTurn(stage: string, act: () => Promise<StageOutcome>): Promise<Ending | undefined> {
    await this.#takeTurn(stage);
    const outcome = await act();
    if (outcome !== 'reached' && outcome !== 'skipped') return outcome;
    await calls.releaseTurn(this.#call({ stage, reached: outcome === 'reached' }));
    return undefined;
  }

  /** A grant is an invitation to ask again: what went out in the meantime may have made it pointless. */
  async #takeTurn(stage: string): Promise<void> {
    const rollback = this.#rollback;
    // A rollback enters by asking, and has to leave whatever comes of that.
    if (rollback !== undefined) this.#entered = true;
    for (;;) {
      const request = { stage, policy: this.#start.plan.tags, ...(rollback !== undefined && { rollback }) };
      const answer = await calls.requestTurn(this.#call(request));
      switch (answer.kind) {
        case 'granted':
          return;
        case 'superseded':
          return endRollout({ end: 'superseded', reason: `by ${answer.by}` });
        case 'unchanged': {
          const reason =
            rollback === undefined
              ? `the same digest went out with ${answer.by}`
              : `${stage} runs what ${answer.by} brought there by now`;
          return endRollout({ end: 'unchanged', reason });
        }
        case 'quarantined':
          return endRollout({ end: 'rejected', reason: `Quarantined: ${answer.reason}` });
        case 'unknown':
          await this.#introduceAgain();
          break;
        case 'waiting':
          await this.#waitForTurn(stage, answer.behind);
      }
    }
  }

  async #waitForTurn(stage: string, behind: string): Promise<void> {
    this.#record.waitFor(`the turn of ${stage}, behind ${behind}`);
    await condition(() => this.#granted.has(stage) || this.#superseded.has(stage), askAgainAfter);
    this.#granted.delete(stage);
    this.#record.waitFor(undefined);
    const by = this.#superseded.get(stage);
    if (by !== undefined) endRollout({ end: 'superseded', reason: `by ${by}, while it waited for its turn` });
  }

  /**
   * Waits until the running system may be changed: not held, not pinned, not outside of the windows. From then on no newer image
   * supersedes this one in the stage.
   * @param at a step that operators may reject until then, which ends the rollout
   */
  async beginChange({ name: stage, windows: planned = [] }: StagePlan, at?: StepAt): Promise<Allowed> {
    const backoff = this.backoff(stage, at);
    let windows = planned;
    for (;;) {
      this.#decisions.endIfRejected(at);
      backoff.attempt();
      const answer = await calls.beginChange(this.#call({ stage, windows }));
      switch (answer.kind) {
        case 'go':
          this.#begun.add(stage);
          this.#record.waitFor(undefined);
          return answer;
        case 'superseded':
          return endRollout({ end: 'superseded', reason: `by ${answer.by}` });
        case 'quarantined':
          return endRollout({ end: 'rejected', reason: `Quarantined: ${answer.reason}` });
        case 'unknown':
          await this.#introduceAgain();
          await this.#takeTurn(stage);
          break;
        case 'wait': {
          const { reason, until, window = false } = answer;
          const skip = `landfall skip ${shortRollout(workflowInfo().workflowId)} ${windowStep} --stage ${stage} --reason TEXT`;
          const urgent = window ? `; if it is urgent: ${skip}` : '';
          this.#record.waitFor(`${reason}${until === undefined ? '' : `, until ${until}`}${urgent}`);
          const atMost = until === undefined ? undefined : Math.max(1_000, Date.parse(until) - Date.now());
          if (await this.#pauseUnlessSkipped(backoff, { stage, window, atMost })) windows = [];
          this.endIfSuperseded(stage, reason);
        }
      }
    }
  }

  /** @returns whether an operator said to go on outside of the windows: holds and pins still count */
  async #pauseUnlessSkipped(
    backoff: Backoff,
    { stage, window, atMost }: { readonly stage: string; readonly window: boolean; readonly atMost: number | undefined },
  ): Promise<boolean> {
    const at = { step: windowStep, stage };
    this.#decisions.waitForWindow(window ? stage : undefined);
    await backoff.pause(atMost, () => this.#decisions.isMade(at));
    this.#decisions.waitForWindow(undefined);
    const skipped = this.#decisions.take(at);
    if (skipped === undefined) return false;
    this.#record.begin(at);
    this.#record.waive(at, skipped);
    return true;
  }

  /** Called before the first change of the running system, so that whatever happens then can be rolled back. */
  async reportRunning(stage: string, running: Running): Promise<void> {
    await calls.reportRunning(this.#call({ stage, running }));
  }

  async reportRolledBack(stage: string, back: Omit<RolledBackReport, keyof RolloutRun | 'stage'>): Promise<void> {
    await calls.reportRolledBack(this.#call({ stage, ...back }));
  }

  /** The rollback that was reported did not take place after all. @param reportedAt when it was reported; absent: the digest stays in quarantine */
  async reportNotRolledBack(stage: string, running: Running, reportedAt?: string): Promise<void> {
    await calls.reportNotRolledBack(this.#call({ stage, running, ...(reportedAt !== undefined && { reportedAt }) }));
  }

  /** From then on nothing else of Landfall's merges into the base branch. @param at operators may reject it until then */
  async takeMergeTurn({ repository, base }: Pick<MergeTurn, 'repository' | 'base'>, at: Required<StepAt>): Promise<void> {
    const backoff = this.backoff(at.stage, at);
    for (;;) {
      this.#decisions.endIfRejected(at);
      backoff.attempt();
      const answer = await calls.requestMergeTurn({ ...this.#me, repository, base });
      if (answer.kind === 'granted') break;
      this.#record.waitFor(`its turn to merge into ${base}, behind ${answer.behind}`);
      await backoff.pause();
    }
    this.#record.waitFor(undefined);
  }

  /** Also of a turn that it still waits for. */
  async releaseMergeTurn({ repository, base }: Pick<MergeTurn, 'repository' | 'base'>): Promise<void> {
    await CancellationScope.nonCancellable(() => calls.releaseMergeTurn({ ...this.#me, repository, base }));
  }

  /** The lane was terminated and begun anew. */
  async #introduceAgain(): Promise<void> {
    // A rollback introduces itself by asking for its turn.
    if (this.#rollback !== undefined) return;
    await this.enter();
    if (this.image !== undefined) await this.reportVerified(this.image);
  }

  async leave({ end, reason, quarantinedBy, moved }: Ending): Promise<void> {
    const { plan, push } = this.#start;
    // Where the digest was named, the operator did not ask for the tag.
    const manual = this.#start.manual && !this.#start.named;
    if (this.#entered) {
      const why = { ...(reason !== undefined && { reason }), ...(quarantinedBy !== undefined && { quarantinedBy }) };
      await calls.leaveLane(this.#call({ end, at: new Date().toISOString(), ...why }));
    }
    if (end !== 'superseded') return;
    await calls.resolveAgain({ plan, push, after: this.#me, ...(manual && { manual }), ...(moved && { moved }) });
  }
}
