import { setCurrentDetails, upsertMemo, upsertSearchAttributes } from '@temporalio/workflow';
import { isByDigest, type RolloutStart } from '../../contracts/messages.ts';
import { searchAttributes } from '../../contracts/start-options.ts';
import type { Proposal } from '../../domain/outcomes.ts';
import type { StagePlan } from '../../domain/plan.ts';
import type {
  Approval,
  End,
  RolloutState,
  RolloutStatus,
  StepName,
  StepState,
  StepStatus,
  Waiver,
} from '../../domain/rollout-state.ts';
import { stageStepNames } from '../../domain/rollout-state.ts';
import { rolloutInMarkdown, waiverText } from '../../domain/rollout-text.ts';

export interface StepAt {
  readonly step: StepName;
  readonly stage?: string;
}

/** More of them than any rollout has, unless an operator skips one part after the other. */
const mostWaivers = 20;
/** Of a reason that is kept in lists, and in the lane. */
const longestReason = 4_000;

/** What is known of a rollout: for the `state` query, Temporal's lists and its page. */
export class RolloutRecord {
  readonly #start: RolloutStart;
  readonly #startedAt = new Date().toISOString();
  readonly #proposals: Record<string, Proposal> = {};
  readonly #approvals: Record<string, readonly Approval[]> = {};
  readonly #delivered: string[] = [];
  #waivers: readonly Waiver[] = [];
  #steps: StepState[];
  #image: RolloutState['image'];
  #changedAt = this.#startedAt;
  #ended: { end: End; reason?: string } | undefined;
  #waitingFor: string | undefined;
  #published: { status: RolloutStatus; stage?: string } = { status: 'running' };
  #neededPerson = false;

  /** @param kind a rollback has no other steps than that */
  constructor(start: RolloutStart, kind: 'rollout' | 'rollback' = 'rollout') {
    this.#start = start;
    this.#image = start.image;
    const { plan } = start;
    const checks = ['verify', ...plan.checks.map(({ kind }) => kind)].map((step) => ({ step }));
    const ofStages = plan.stages.flatMap((stage) =>
      stageStepNames.filter((step) => isPlanned(stage, step, start)).map((step) => ({ step, stage: stage.name })),
    );
    const planned = kind === 'rollback' ? [] : [...checks, ...ofStages];
    this.#steps = planned.map((at) => ({ ...at, status: 'pending' }));
  }

  get state(): RolloutState {
    const reason = this.#ended?.reason ?? this.#waitingFor ?? this.#steps.find(({ status }) => status === 'blocked')?.reason;
    return {
      service: this.#start.plan.service,
      image: this.#image,
      status: this.#status(),
      ...(reason !== undefined && { reason }),
      steps: this.#steps,
      proposals: this.#proposals,
      ...(Object.keys(this.#approvals).length > 0 && { approvals: this.#approvals }),
      ...(this.#waivers.length > 0 && { waivers: this.#waivers }),
      startedAt: this.#startedAt,
      changedAt: this.#changedAt,
      ...(this.#ended !== undefined && { endedAt: this.#changedAt }),
    };
  }

  /** Blocked means that nothing goes on: while a step beside the failed one still runs, the rollout is running. */
  #status(): RolloutStatus {
    if (this.#ended !== undefined) return this.#ended.end;
    const has = (wanted: StepStatus): boolean => this.#steps.some(({ status }) => status === wanted);
    if (this.#waitingFor !== undefined) return 'waiting';
    if (has('running')) return 'running';
    if (has('blocked')) return 'blocked';
    return has('waiting') ? 'waiting' : 'running';
  }

  blocked(): StepState[] {
    return this.#steps.filter(({ status }) => status === 'blocked');
  }

  /** Also those that wait for people, for a release or for their turn, and can be rejected. */
  blockedOrAsking(): StepState[] {
    return this.#steps.filter(({ step, status }) => {
      const isWaiting = status === 'waiting' || (status === 'running' && this.#waitingFor !== undefined);
      return status === 'blocked' || (isWaiting && (step === 'approve' || step === 'merge'));
    });
  }

  /** Something that no plan foresees: a rollback. */
  add(at: StepAt): void {
    if (!this.#steps.some((known) => isSame(known, at))) {
      this.#steps = [...this.#steps, { ...at, status: 'pending' }];
    }
  }

  approved(stage: string, approvals: readonly Approval[]): void {
    this.#approvals[stage] = [...approvals];
  }

  begin(at: StepAt): void {
    this.#change(at, ({ step, stage }) => ({
      step,
      ...(stage !== undefined && { stage }),
      status: 'running',
      startedAt: new Date().toISOString(),
    }));
  }

  /** @param details what a person should see beside the sentence; a few KiB at most */
  settle(
    at: StepAt,
    status: Exclude<StepStatus, 'pending' | 'running'>,
    reason: string,
    more: Pick<StepState, 'failure' | 'details'> = {},
  ): void {
    if (status === 'blocked') this.#neededPerson = true;
    // What a part of was skipped has not passed.
    const waived = status === 'passed' ? this.#waivers.filter((waiver) => skips(waiver, at)).map(skippedBy) : [];
    const told = waived.length > 0 ? [...new Set(waived), reason].join('; ') : reason;
    const endedAt = status === 'waiting' ? {} : { endedAt: new Date().toISOString() };
    const become: StepStatus = waived.length > 0 ? 'skipped' : status;
    this.#change(at, (before) => ({ ...before, status: become, reason: told, ...more, ...endedAt }));
  }

  /** An operator said to go on without the step, or without the part of it that was under way, or to let through what comes along. */
  waive(at: StepAt, { by, reason, of }: Pick<Waiver, 'by' | 'reason' | 'of'>): void {
    const { step, stage } = at;
    const said = { by, reason, at: new Date().toISOString() };
    const waiver: Waiver = { step, ...(stage !== undefined && { stage }), ...(of !== undefined && { of }), ...said };
    this.#waivers = [...this.#waivers, waiver].slice(-mostWaivers);
    if (of === undefined) this.settle(at, 'skipped', skippedBy(waiver));
  }

  get waivers(): readonly Waiver[] {
    return this.#waivers;
  }

  isWaived(at: StepAt): boolean {
    return this.#waivers.some((waiver) => skips(waiver, at));
  }

  /** What is said of the end, and all that was skipped on the way there. */
  withWaivers(reason: string | undefined): string | undefined {
    const texts = [...(reason === undefined ? [] : [reason]), ...new Set(this.#waivers.map(waiverText))];
    return texts.length === 0 ? undefined : texts.join('; ').slice(0, Math.max(longestReason, reason?.length ?? 0));
  }

  /** A stage has the image, and is as it should be. */
  reached(stage: string): void {
    this.#delivered.push(stage);
  }

  /** The stages that were changed, and are as they should be. */
  get delivered(): readonly string[] {
    return this.#delivered;
  }

  /** What was going on in a stage is over, because the stage is being rolled back. */
  stop(stage: string, reason: string): void {
    for (const step of this.#steps) {
      const isOpen = step.status === 'running' || step.status === 'waiting' || step.status === 'blocked';
      if (step.stage === stage && isOpen) this.settle(step, 'stopped', reason);
    }
  }

  /** What the rollout as a whole waits for; undefined when it goes on. */
  waitFor(what: string | undefined): void {
    if (what === this.#waitingFor) return;
    this.#waitingFor = what;
    this.#publish();
  }

  identify(image: RolloutState['image']): void {
    const { repository, tag, digest } = image;
    this.#image = { repository, tag, digest };
  }

  proposed(stage: string, proposal: Proposal): void {
    this.#proposals[stage] = proposal;
  }

  end(end: End, reason: string | undefined): void {
    const at = new Date().toISOString();
    this.#steps = this.#steps.map((step) =>
      step.status === 'running' || step.status === 'waiting' || step.status === 'blocked'
        ? { ...step, status: 'stopped', endedAt: at }
        : step,
    );
    this.#waitingFor = undefined;
    this.#ended = { end, ...(reason !== undefined && { reason }) };
    this.#publish();
  }

  #change(at: StepAt, change: (before: StepState) => StepState): void {
    this.#steps = this.#steps.map((known) => (isSame(known, at) ? change(known) : known));
    this.#publish();
  }

  /** Columns cost an event of history each time, so they are written only when what they say has changed. */
  #publish(): void {
    this.#changedAt = new Date().toISOString();
    const { state } = this;
    setCurrentDetails(rolloutInMarkdown(state));
    const stage = this.#steps.findLast(({ stage, status }) => stage !== undefined && status !== 'pending')?.stage;
    if (state.status === this.#published.status && stage === this.#published.stage) return;
    this.#publishMemo(state);
    this.#published = { status: state.status, ...(stage !== undefined && { stage }) };
    const seconds = Math.round((Date.parse(this.#changedAt) - Date.parse(this.#start.push.receivedAt)) / 1000);
    upsertSearchAttributes([
      { key: searchAttributes.status, value: state.status },
      { key: searchAttributes.changedAt, value: new Date(this.#changedAt) },
      ...(stage === undefined ? [] : [{ key: searchAttributes.stage, value: stage }]),
      ...(state.status === 'proposed' ? [{ key: searchAttributes.proposedSeconds, value: seconds }] : []),
      ...(state.status === 'delivered' ? [{ key: searchAttributes.healthySeconds, value: seconds }] : []),
      ...(this.#ended !== undefined ? [{ key: searchAttributes.neededPerson, value: this.#neededPerson }] : []),
    ]);
  }

  /** Lists show why a rollout is blocked or how it ended, and what it proposed. */
  #publishMemo({ status, reason }: RolloutState): void {
    const isTold = status === 'blocked' || this.#ended !== undefined;
    if (!isTold && this.#published.status !== 'blocked') return;
    const proposal = Object.values(this.#proposals).at(-1);
    upsertMemo({ reason: isTold ? (reason ?? null) : null, ...(proposal !== undefined && { proposal: proposal.url }) });
  }
}

function skippedBy({ by, reason }: Waiver): string {
  return `skipped by ${by}: ${reason}`;
}

function skips(waiver: Waiver, at: StepAt): boolean {
  return waiver.of === undefined && isSame(waiver, at);
}

function isSame(a: StepAt, b: StepAt): boolean {
  return a.step === b.step && a.stage === b.stage;
}

function isPlanned(stage: StagePlan, step: (typeof stageStepNames)[number], start: RolloutStart): boolean {
  switch (step) {
    case 'confirm':
      return !isByDigest(start);
    case 'propose':
      return stage.change !== undefined;
    case 'approve':
      return stage.approval !== undefined;
    case 'merge':
      return stage.change !== undefined && stage.change.merge !== 'off';
    case 'rollback':
      return false;
    case 'dispatch':
    case 'deploy':
    case 'watch':
      return stage[step] !== undefined;
  }
}
