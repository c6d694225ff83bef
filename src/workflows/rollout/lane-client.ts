import { CancellationScope, condition, proxyLocalActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { LaneActivities } from '../../contracts/activities/lane.ts';
import { grantSignal, type RolloutStart, supersedeSignal } from '../../contracts/messages.ts';
import type { Digest } from '../../domain/image-reference.ts';
import type { EntryAnswer } from '../../domain/lane/members.ts';
import type { RolloutRun } from '../../domain/lane/run.ts';
import type { BeginAnswer, PreviousState, RollbackBasis, RolledBackReport, Running } from '../../domain/lane/running.ts';
import type { TurnRequest } from '../../domain/lane/turns.ts';
import type { VerifiedImage } from '../../domain/outcomes.ts';
import type { StagePlan } from '../../domain/plan.ts';
import { type Ending, endRollout, type StageOutcome } from './ending.ts';
import type { Backoff } from './poller.ts';
import type { RolloutRecord } from './record.ts';

/** Local activities, because a workflow cannot send an update to another one; each is one event of history. */
const calls = proxyLocalActivities<LaneActivities>({
  startToCloseTimeout: '10s',
  retry: { initialInterval: '200ms', maximumInterval: '10s' },
});

/** A waiting rollout asks again after so long, because a lane that was terminated forgets who waited. */
const askAgainAfter = '10m';

/** What a rollback asks its turn for. */
export type RollbackTurn = NonNullable<TurnRequest['rollback']>;

/** The turn that allows a change, and what the stage ran before it, where Landfall deployed that. */
export interface Allowed {
  readonly turn: number;
  readonly before?: PreviousState['image'];
  /** The stage was brought to this very digest before. */
  readonly again?: RollbackBasis;
}

/** Whether somebody has rejected what a rollout waits for. */
export interface GivenUp {
  isAsked(): boolean;
  /** Throws where it is. */
  end(): void;
}

const notGivenUp: GivenUp = { isAsked: () => false, end: () => undefined };

/** How a rollout talks to its lane: it enters, waits for its turns, learns that a newer image goes first, and leaves. */
export class LaneClient {
  readonly #start: RolloutStart;
  readonly #record: RolloutRecord;
  readonly #rollback: RollbackTurn | undefined;
  readonly #granted = new Set<string>();
  readonly #begun = new Set<string>();
  readonly #supersededInStage = new Map<string, string>();
  #supersededInChecks: string | undefined;
  #entered = false;
  #image: VerifiedImage | undefined;
  /** What the tag was when it was verified last, before this rollout. */
  newest: Digest | undefined;
  /** What the tag points to, where that is not what this rollout is about. */
  tagIs: Digest | undefined;

  constructor(start: RolloutStart, record: RolloutRecord, rollback?: RollbackTurn) {
    this.#start = start;
    this.#record = record;
    this.#rollback = rollback;
  }

  handleSignals(): void {
    setHandler(grantSignal, ({ stage }) => void this.#granted.add(stage));
    setHandler(supersedeSignal, ({ by, where }) => {
      if (where === 'checks') this.#supersededInChecks = by;
      else this.#supersededInStage.set(where.stage, by);
    });
  }

  get #me(): RolloutRun {
    return { rollout: workflowInfo().workflowId, runId: workflowInfo().runId };
  }

  get #service(): string {
    return this.#start.plan.service;
  }

  get #stages(): string[] {
    return this.#start.plan.stages.map(({ name }) => name);
  }

  /** What was verified; absent before that. */
  get image(): VerifiedImage | undefined {
    return this.#image;
  }

  /** The rollout that makes waiting pointless: in the checks (no stage) one that is verified, in a stage one that asks for its turn. */
  supersededIn(stage: string | undefined): string | undefined {
    if (stage === undefined) return this.#supersededInChecks;
    return this.#begun.has(stage) ? undefined : this.#supersededInStage.get(stage);
  }

  /** Ends the rollout where a newer image makes waiting in a stage pointless. */
  endIfSuperseded(stage: string, meanwhile: string): void {
    const by = this.supersededIn(stage);
    if (by !== undefined) endRollout({ end: 'superseded', reason: `by ${by}, while it waited for ${meanwhile}` });
  }

  /** Asks first, so that a redelivery of something known touches nothing. */
  async enter(): Promise<void> {
    const { tag, digest } = this.#start.image;
    const request = { ...this.#me, tag, digest, manual: this.#start.manual ?? false, stages: this.#stages };
    this.#entered = true;
    const answer = await calls.enterLane({ service: this.#service, request });
    this.#entered = answer.kind === 'admitted';
    this.#endUnlessAdmitted(answer);
    if (answer.kind === 'admitted') this.newest = answer.newest;
  }

  async reportVerified(image: VerifiedImage): Promise<void> {
    const { tag, digest, created } = image;
    this.#image = image;
    const policy = this.#start.plan.tags;
    const request = {
      ...{ ...this.#me, policy, tag, digest, stages: this.#stages },
      ...(created !== undefined && { created }),
      ...(this.#start.promotion !== undefined && { promotion: true }),
      ...(this.tagIs !== undefined && { instead: this.tagIs }),
    };
    this.#endUnlessAdmitted(await calls.reportVerified({ service: this.#service, request }));
  }

  #endUnlessAdmitted(answer: EntryAnswer): void {
    if (answer.kind === 'unchanged') endRollout({ end: 'unchanged', reason: answer.reason });
    if (answer.kind !== 'quarantined') return;
    const { digest } = this.#start.image;
    const advice = this.#start.manual ? `; landfall unquarantine ${this.#service} ${digest} lets it out` : '';
    endRollout({ end: 'rejected', reason: `Quarantined: ${answer.reason}${advice}` });
  }

  /** Does something in a stage while no other rollout of the service does. The turn is kept when that ends the rollout. */
  async inTurn(stage: string, act: () => Promise<StageOutcome>): Promise<Ending | undefined> {
    await this.#takeTurn(stage);
    const outcome = await act();
    if (outcome !== 'reached' && outcome !== 'skipped') return outcome;
    await calls.releaseTurn({ service: this.#service, request: { ...this.#me, stage, reached: outcome === 'reached' } });
    return undefined;
  }

  /** A grant is an invitation to ask again: what went out in the meantime may have made it pointless. */
  async #takeTurn(stage: string): Promise<void> {
    // A rollback enters by asking, and has to leave whatever comes of that.
    if (this.#rollback !== undefined) this.#entered = true;
    for (;;) {
      const answer = await calls.requestTurn({
        service: this.#service,
        request: {
          ...this.#me,
          stage,
          policy: this.#start.plan.tags,
          ...(this.#rollback !== undefined && { rollback: this.#rollback }),
        },
      });
      switch (answer.kind) {
        case 'granted':
          return;
        case 'superseded':
          return endRollout({ end: 'superseded', reason: `by ${answer.by}` });
        case 'unchanged':
          return endRollout({ end: 'unchanged', reason: this.#unchanged(stage, answer.by) });
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

  #unchanged(stage: string, by: string): string {
    return this.#rollback === undefined ? `the same digest went out with ${by}` : `${stage} runs what ${by} brought there by now`;
  }

  async #waitForTurn(stage: string, behind: string): Promise<void> {
    this.#record.waitFor(`the turn of ${stage}, behind ${behind}`);
    await condition(() => this.#granted.has(stage) || this.#supersededInStage.has(stage), askAgainAfter);
    this.#granted.delete(stage);
    this.#record.waitFor(undefined);
    const by = this.#supersededInStage.get(stage);
    if (by !== undefined) endRollout({ end: 'superseded', reason: `by ${by}, while it waited for its turn` });
  }

  /**
   * Waits until the running system may be changed: not held, not pinned, not outside of the windows. From then on no newer image
   * supersedes this one in the stage.
   */
  async beginChange({ name: stage, windows = [] }: StagePlan, backoff: Backoff, givenUp = notGivenUp): Promise<Allowed> {
    for (;;) {
      givenUp.end();
      backoff.attempt();
      const answer = await calls.beginChange({ service: this.#service, request: { ...this.#me, stage, windows } });
      switch (answer.kind) {
        case 'go':
          this.#begun.add(stage);
          this.#record.waitFor(undefined);
          return {
            turn: answer.turn,
            ...(answer.before !== undefined && { before: answer.before }),
            ...(answer.again !== undefined && { again: answer.again }),
          };
        case 'superseded':
          return endRollout({ end: 'superseded', reason: `by ${answer.by}` });
        case 'quarantined':
          return endRollout({ end: 'rejected', reason: `Quarantined: ${answer.reason}` });
        case 'unknown':
          await this.#introduceAgain();
          await this.#takeTurn(stage);
          break;
        case 'wait':
          await this.#waitToBegin(stage, answer, backoff, givenUp);
      }
    }
  }

  async #waitToBegin(
    stage: string,
    { reason, until }: Extract<BeginAnswer, { kind: 'wait' }>,
    backoff: Backoff,
    givenUp: GivenUp,
  ): Promise<void> {
    this.#record.waitFor(until === undefined ? reason : `${reason}, until ${until}`);
    const forMs = until === undefined ? undefined : Math.max(1_000, Date.parse(until) - Date.now());
    await backoff.pause(() => this.supersededIn(stage) !== undefined || givenUp.isAsked(), forMs);
    this.endIfSuperseded(stage, reason);
  }

  /** Called before the first change of the running system, so that whatever happens then can be rolled back. */
  async reportRunning(stage: string, running: Running): Promise<void> {
    await calls.reportRunning({ service: this.#service, request: { ...this.#me, stage, running } });
  }

  async reportRolledBack(stage: string, back: Omit<RolledBackReport, keyof RolloutRun | 'stage'>): Promise<void> {
    await calls.reportRolledBack({ service: this.#service, request: { ...this.#me, stage, ...back } });
  }

  /** The rollback that was reported did not take place after all. @param reportedAt when it was reported; absent: the digest stays in quarantine */
  async reportNotRolledBack(stage: string, running: Running, reportedAt?: string): Promise<void> {
    const request = { ...this.#me, stage, running, ...(reportedAt !== undefined && { reportedAt }) };
    await calls.reportNotRolledBack({ service: this.#service, request });
  }

  /** Does something while nothing else of Landfall's merges into the base branch. */
  async inMergeTurn<Result>(
    { repository, base }: { readonly repository: string; readonly base: string },
    backoff: Backoff,
    act: () => Promise<Result>,
    givenUp = notGivenUp,
  ): Promise<Result> {
    const turn = { ...this.#me, repository, base };
    try {
      for (;;) {
        givenUp.end();
        backoff.attempt();
        const answer = await calls.requestMergeTurn(turn);
        if (answer.kind === 'granted') break;
        this.#record.waitFor(`its turn to merge into ${base}, behind ${answer.behind}`);
        await backoff.pause(givenUp.isAsked);
      }
      this.#record.waitFor(undefined);
      return await act();
    } finally {
      await CancellationScope.nonCancellable(() => calls.releaseMergeTurn(turn));
    }
  }

  /** The lane was terminated and begun anew. */
  async #introduceAgain(): Promise<void> {
    // A rollback introduces itself by asking for its turn.
    if (this.#rollback !== undefined) return;
    await this.enter();
    if (this.#image !== undefined) await this.reportVerified(this.#image);
  }

  async leave({ end, reason, quarantinedBy, moved }: Ending): Promise<void> {
    const { plan, push } = this.#start;
    // Where the digest was named, the operator did not ask for the tag.
    const manual = this.#start.manual && !this.#start.named;
    const at = new Date().toISOString();
    if (this.#entered) {
      const leaving = {
        ...this.#me,
        end,
        at,
        ...(reason !== undefined && { reason }),
        ...(quarantinedBy !== undefined && { quarantinedBy }),
      };
      await calls.leaveLane({ service: plan.service, request: leaving });
    }
    if (end !== 'superseded') return;
    await calls.resolveAgain({ plan, push, after: this.#me, ...(manual && { manual }), ...(moved && { moved }) });
  }
}
