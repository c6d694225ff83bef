import { condition, proxyLocalActivities, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';
import type { VerifiedImage } from '../domain/outcomes.ts';
import { type Ending, endRollout } from './ending.ts';
import { grantSignal, type RolloutStart, supersedeSignal } from './messages.ts';
import type { RolloutRecord } from './rollout-record.ts';

/** Local activities: a call to the lane is one event of history, and its answer is there within the same workflow task. */
const calls = proxyLocalActivities<
  Pick<Activities, 'enterLane' | 'tellVerified' | 'requestTurn' | 'releaseTurn' | 'leaveLane' | 'lookAgain'>
>({ startToCloseTimeout: '10s', retry: { initialInterval: '200ms', maximumInterval: '10s' } });

/** A rollout's side of its lane: it enters, waits for its turns, learns that a newer image goes first, and leaves. */
export class LaneSide {
  readonly #start: RolloutStart;
  readonly #record: RolloutRecord;
  readonly #granted = new Set<string>();
  #entered = false;
  #supersededInChecks: string | undefined;
  readonly #supersededInStage = new Map<string, string>();

  constructor(start: RolloutStart, record: RolloutRecord) {
    this.#start = start;
    this.#record = record;
    setHandler(grantSignal, ({ stage }) => void this.#granted.add(stage));
    setHandler(supersedeSignal, ({ by, where }) => {
      if (where === 'checks') this.#supersededInChecks = by;
      else this.#supersededInStage.set(where.stage, by);
    });
  }

  get #me(): { rollout: string; runId: string } {
    return { rollout: workflowInfo().workflowId, runId: workflowInfo().runId };
  }

  /** The rollout that makes waiting idle: in the checks (no stage) one that is verified, in a stage one that asks for its turn. */
  supersededIn(stage: string | undefined): string | undefined {
    return stage === undefined ? this.#supersededInChecks : this.#supersededInStage.get(stage);
  }

  /** Asks first, so that a redelivery of something known touches nothing. */
  async enter(): Promise<void> {
    const { plan, image, asked = false } = this.#start;
    const { tag, digest } = image;
    const stages = plan.stages.map(({ name }) => name);
    const answer = await calls.enterLane({ service: plan.service, at: { ...this.#me, tag, digest, asked, stages } });
    if (answer.kind === 'unchanged') return endRollout({ end: 'unchanged', reason: answer.reason });
    if (answer.kind === 'quarantined') return endRollout({ end: 'rejected', reason: `Quarantined: ${answer.reason}` });
    this.#entered = true;
  }

  async tellVerified({ tag, digest, created }: VerifiedImage): Promise<void> {
    const { plan } = this.#start;
    const at = { ...this.#me, policy: plan.tags, tag, digest, ...(created !== undefined && { created }) };
    await calls.tellVerified({ service: plan.service, at });
  }

  /** Does something in a stage while no other rollout of the service does. The turn is kept when that ends the rollout. */
  async inTurn(stage: string, act: () => Promise<Ending | undefined>): Promise<Ending | undefined> {
    await this.#takeTurn(stage);
    const ending = await act();
    if (ending === undefined) {
      await calls.releaseTurn({ service: this.#start.plan.service, at: { ...this.#me, stage, reached: true } });
    }
    return ending;
  }

  async #takeTurn(stage: string): Promise<void> {
    const { plan } = this.#start;
    const answer = await calls.requestTurn({ service: plan.service, at: { ...this.#me, stage, policy: plan.tags } });
    if (answer.kind === 'granted') return;
    if (answer.kind === 'superseded') return endRollout({ end: 'superseded', reason: `by ${answer.by}` });
    if (answer.kind === 'unchanged')
      return endRollout({ end: 'unchanged', reason: `the same digest went out with ${answer.by}` });
    this.#record.waitFor(`the turn of ${stage}, behind ${answer.behind}`);
    await condition(() => this.#granted.has(stage) || this.#supersededInStage.has(stage));
    this.#record.waitFor(undefined);
    const by = this.#supersededInStage.get(stage);
    if (by !== undefined) endRollout({ end: 'superseded', reason: `by ${by}, while it waited for its turn` });
  }

  async leave({ end, reason, quarantinedBy }: Ending): Promise<void> {
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
    if (end === 'superseded') await calls.lookAgain({ plan, push, ...(asked && { asked }) });
  }
}
