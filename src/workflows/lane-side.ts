import { condition, proxyLocalActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { Digest } from '../domain/image-reference.ts';
import type { EntryAnswer } from '../domain/lane/members.ts';
import type { Run } from '../domain/lane/state.ts';
import type { VerifiedImage } from '../domain/outcomes.ts';
import { type Ending, endRollout } from './ending.ts';
import { grantSignal, type RolloutStart, supersedeSignal } from './messages.ts';
import type { RolloutRecord } from './rollout-record.ts';

/** Local activities: a call to the lane is one event of history, and its answer is there within the same workflow task. */
const calls = proxyLocalActivities<
  Pick<Activities, 'enterLane' | 'tellVerified' | 'requestTurn' | 'releaseTurn' | 'leaveLane' | 'lookAgain'>
>({ startToCloseTimeout: '10s', retry: { initialInterval: '200ms', maximumInterval: '10s' } });

/** A waiting rollout asks again after so long, because a lane that was terminated forgets who waited. */
const askAgainAfter = '10m';

/** A rollout's side of its lane: it enters, waits for its turns, learns that a newer image goes first, and leaves. */
export class LaneSide {
  readonly #start: RolloutStart;
  readonly #record: RolloutRecord;
  readonly #granted = new Set<string>();
  readonly #supersededInStage = new Map<string, string>();
  #supersededInChecks: string | undefined;
  #entered = false;
  #image: VerifiedImage | undefined;
  /** What the tag was when it was verified last, before this rollout. */
  newest: Digest | undefined;

  constructor(start: RolloutStart, record: RolloutRecord) {
    this.#start = start;
    this.#record = record;
    setHandler(grantSignal, ({ stage }) => void this.#granted.add(stage));
    setHandler(supersedeSignal, ({ by, where }) => {
      if (where === 'checks') this.#supersededInChecks = by;
      else this.#supersededInStage.set(where.stage, by);
    });
  }

  get #me(): Run {
    return { rollout: workflowInfo().workflowId, runId: workflowInfo().runId };
  }

  get #service(): string {
    return this.#start.plan.service;
  }

  get #stages(): string[] {
    return this.#start.plan.stages.map(({ name }) => name);
  }

  /** The rollout that makes waiting idle: in the checks (no stage) one that is verified, in a stage one that asks for its turn. */
  supersededIn(stage: string | undefined): string | undefined {
    return stage === undefined ? this.#supersededInChecks : this.#supersededInStage.get(stage);
  }

  /** Asks first, so that a redelivery of something known touches nothing. */
  async enter(): Promise<void> {
    const { tag, digest } = this.#start.image;
    const at = { ...this.#me, tag, digest, asked: this.#start.asked ?? false, stages: this.#stages };
    this.#entered = true;
    const answer = await calls.enterLane({ service: this.#service, at });
    this.#entered = answer.kind === 'admitted';
    this.#endUnlessAdmitted(answer);
    if (answer.kind === 'admitted') this.newest = answer.newest;
  }

  async tellVerified(image: VerifiedImage): Promise<void> {
    const { tag, digest, created } = image;
    this.#image = image;
    const policy = this.#start.plan.tags;
    const at = { ...this.#me, policy, tag, digest, stages: this.#stages, ...(created !== undefined && { created }) };
    this.#endUnlessAdmitted(await calls.tellVerified({ service: this.#service, at }));
  }

  #endUnlessAdmitted(answer: EntryAnswer): void {
    if (answer.kind === 'unchanged') endRollout({ end: 'unchanged', reason: answer.reason });
    if (answer.kind === 'quarantined') endRollout({ end: 'rejected', reason: `Quarantined: ${answer.reason}` });
  }

  /** Does something in a stage while no other rollout of the service does. The turn is kept when that ends the rollout. */
  async inTurn(stage: string, act: () => Promise<Ending | undefined>): Promise<Ending | undefined> {
    await this.#takeTurn(stage);
    const ending = await act();
    if (ending === undefined) {
      await calls.releaseTurn({ service: this.#service, at: { ...this.#me, stage, reached: true } });
    }
    return ending;
  }

  /** A grant is an invitation to ask again: what went out in the meantime may have made the question idle. */
  async #takeTurn(stage: string): Promise<void> {
    for (;;) {
      const answer = await calls.requestTurn({
        service: this.#service,
        at: { ...this.#me, stage, policy: this.#start.plan.tags },
      });
      switch (answer.kind) {
        case 'granted':
          return;
        case 'superseded':
          return endRollout({ end: 'superseded', reason: `by ${answer.by}` });
        case 'unchanged':
          return endRollout({ end: 'unchanged', reason: `the same digest went out with ${answer.by}` });
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
    await condition(() => this.#granted.has(stage) || this.#supersededInStage.has(stage), askAgainAfter);
    this.#granted.delete(stage);
    this.#record.waitFor(undefined);
    const by = this.#supersededInStage.get(stage);
    if (by !== undefined) endRollout({ end: 'superseded', reason: `by ${by}, while it waited for its turn` });
  }

  /** The lane was terminated and begun anew. */
  async #introduceAgain(): Promise<void> {
    await this.enter();
    if (this.#image !== undefined) await this.tellVerified(this.#image);
  }

  async leave({ end, reason, quarantinedBy, moved }: Ending): Promise<void> {
    const { plan, push, asked } = this.#start;
    const at = new Date().toISOString();
    if (this.#entered) {
      const leaving = {
        ...this.#me,
        end,
        at,
        ...(reason !== undefined && { reason }),
        ...(quarantinedBy !== undefined && { quarantinedBy }),
      };
      await calls.leaveLane({ service: plan.service, at: leaving });
    }
    if (end !== 'superseded') return;
    await calls.lookAgain({ plan, push, after: this.#me, ...(asked && { asked }), ...(moved && { moved }) });
  }
}
