import {
  CancellationScope,
  log,
  proxyLocalActivities,
  setCurrentDetails,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { Activities } from '../../contracts/activities/index.ts';
import { isByDigest, type RecordSubject, type RolloutStart } from '../../contracts/messages.ts';
import { searchAttributes } from '../../contracts/start-options.ts';
import { pusherOf } from '../../domain/image-push.ts';
import type { Notice } from '../../domain/notice.ts';
import { endsStory, targetKey, updatesInPlace } from '../../domain/notice-queue.ts';
import type { Proposal } from '../../domain/outcomes.ts';
import type { NoticeEvent, Plan, StagePlan } from '../../domain/plan.ts';
import {
  type Approval,
  type End,
  isApprovalAsked,
  nameOf,
  type RunEnd,
  type RunState,
  type RunStatus,
  rolloutInMarkdown,
  type StepState,
  type StepStatus,
  stageStepNames,
  type TakenDecision,
  type Waiver,
  waiverText,
} from '../../domain/rollout-state.ts';
import { ProgressWriter } from '../progress.ts';

export type StepAt = Pick<StepState, 'step' | 'stage'>;

/** How a rollout ends, and why. */
export interface Ending<Kind extends RunEnd = End> {
  readonly end: Kind;
  readonly reason?: string;
  /** Where it ended, where that was in one stage. */
  readonly stage?: string;
  /** The operator who rejected the digest, which quarantines it. */
  readonly quarantinedBy?: string;
  /** Superseded, because the registry says that the tag points elsewhere. */
  readonly moved?: boolean;
  /** An operator has it begin anew with this plan. */
  readonly renewed?: Plan;
}

/** Never leaves the workflow: `runToItsEnd` catches it. */
export class RolloutEnded extends Error {
  readonly ending: Ending;

  constructor(ending: Ending) {
    super(ending.reason ?? ending.end);
    this.name = 'RolloutEnded';
    this.ending = ending;
  }
}

/** Ends the rollout from within a step. @throws RolloutEnded always */
export function endRollout(ending: Ending): never {
  throw new RolloutEnded(ending);
}

/** Handed over to a workflow that delivers it: one event of history, and nothing that a broken notifier could hold up. */
const { queueNotice } = proxyLocalActivities<Pick<Activities, 'queueNotice'>>({
  startToCloseTimeout: '10s',
  retry: { initialInterval: '200ms', maximumInterval: '5s', maximumAttempts: 10 },
});

/** More of them than any rollout has, unless an operator skips one part after the other. */
const mostWaivers = 20;
const mostDecisions = 50;
/** Of a reason that is kept in lists, and in the lane. */
const longestReason = 4_000;
const openStatuses: readonly StepStatus[] = ['running', 'waiting', 'blocked'];

/** The steps that a rollout's plan foresees. */
export function plannedSteps(start: RolloutStart): StepAt[] {
  const { plan } = start;
  const ofStages = plan.stages.flatMap((stage) =>
    stageStepNames.filter((step) => isPlanned(stage, step, start)).map((step) => ({ step, stage: stage.name })),
  );
  return [{ step: 'verify' }, ...plan.checks.map((check) => ({ step: check.kind })), ...ofStages];
}

/** What is known of a rollout: for the `state` query, Temporal's lists and its page, and for people whom its plan names. */
export class RolloutRecord {
  readonly #about: RecordSubject;
  readonly #plan: string | undefined;
  readonly #startedAt = new Date().toISOString();
  readonly #proposals: Record<string, Proposal> = {};
  readonly #approvals: Record<string, readonly Approval[]> = {};
  /** The stages that were changed, and are as they should be. */
  readonly delivered: string[] = [];
  #waivers: readonly Waiver[] = [];
  #decisions: readonly TakenDecision[] = [];
  #steps: readonly StepState[];
  #image: RunState['image'];
  #changedAt = this.#startedAt;
  #ended: { end: RunEnd; reason?: string } | undefined;
  #waitingFor: string | undefined;
  #published: { status: RunStatus; stage: string | undefined } = { status: 'running', stage: undefined };
  #asksMeanwhile = false;
  #neededPerson = false;
  #proposedSeconds: number | undefined;
  #isProposalPublished = false;
  /** Notices that are being handed over. */
  readonly #underWay: Promise<void>[] = [];
  /** By key: the targets that got a notice. */
  readonly #notified = new Set<string>();
  readonly #progress: ProgressWriter;
  #notices = 0;

  /** @param steps those that are planned; others are added when they begin @param plan its fingerprint */
  constructor(about: RecordSubject, steps: readonly StepAt[], plan?: string) {
    this.#plan = plan;
    this.#about = about;
    this.#progress = new ProgressWriter(about);
    this.#image = about.image;
    this.#steps = steps.map((at) => ({ ...at, status: 'pending' }));
  }

  get state(): RunState {
    const reason = this.#ended?.reason ?? this.#waitingFor ?? this.blocked()[0]?.reason;
    return {
      service: this.#about.plan.service,
      image: this.#image,
      status: this.#status(),
      ...(reason !== undefined && { reason }),
      steps: this.#steps,
      proposals: this.#proposals,
      ...(Object.keys(this.#approvals).length > 0 && { approvals: this.#approvals }),
      ...(this.#waivers.length > 0 && { waivers: this.#waivers }),
      ...(this.#decisions.length > 0 && { decisions: this.#decisions }),
      ...(this.#plan !== undefined && { plan: this.#plan }),
      startedAt: this.#startedAt,
      changedAt: this.#changedAt,
      ...(this.#ended !== undefined && { endedAt: this.#changedAt }),
    };
  }

  /** Blocked means that nothing goes on: while a step beside the failed one still runs, the rollout is running. */
  #status(): RunStatus {
    if (this.#ended !== undefined) return this.#ended.end;
    if (this.#waitingFor !== undefined) return 'waiting';
    if (this.#asksMeanwhile && this.#steps.some(isApprovalAsked)) return 'waiting';
    const statuses = this.#steps.map(({ status }) => status);
    return (['running', 'blocked', 'waiting'] as const).find((status) => statuses.includes(status)) ?? 'running';
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

  /** From here on an approval is asked for in the middle of another step, which does not go on until it is given. */
  asksMeanwhile(): void {
    this.#asksMeanwhile = true;
  }

  approved(stage: string, approvals: readonly Approval[]): void {
    this.#approvals[stage] = [...approvals];
  }

  /** Somebody did a part of it that Landfall does not do by itself. */
  personActed(): void {
    this.#neededPerson = true;
  }

  decided(decision: TakenDecision): void {
    this.#neededPerson = true;
    this.#decisions = [...this.#decisions, decision].slice(-mostDecisions);
  }

  begin(at: StepAt): void {
    // No plan foresees a rollback.
    if (!this.#steps.some((known) => nameOf(known) === nameOf(at))) this.#steps = [...this.#steps, { ...at, status: 'pending' }];
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
    const waived = status === 'passed' ? this.#waiversOf(at).map(skippedBy) : [];
    const told = [...new Set(waived), reason].join('; ');
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

  #waiversOf(at: StepAt): Waiver[] {
    return this.#waivers.filter((waiver) => waiver.of === undefined && nameOf(waiver) === nameOf(at));
  }

  isWaived(at: StepAt): boolean {
    return this.#waiversOf(at).length > 0;
  }

  /** What was going on in a stage is over, because the stage is being rolled back. */
  stop(stage: string, reason: string): void {
    for (const step of this.#steps) {
      if (step.stage === stage && openStatuses.includes(step.status)) this.settle(step, 'stopped', reason);
    }
  }

  /** What the rollout as a whole waits for; undefined when it goes on. */
  waitFor(what: string | undefined): void {
    if (what === this.#waitingFor) return;
    this.#waitingFor = what;
    this.#publish();
    if (what !== undefined) this.#progress.write(this.state);
  }

  identify({ repository, tag, digest }: RunState['image']): void {
    this.#image = { repository, tag, ...(digest !== undefined && { digest }) };
  }

  proposed(stage: string, proposal: Proposal): void {
    this.#proposals[stage] = proposal;
    this.#proposedSeconds ??= this.#secondsSincePush(new Date().toISOString());
    if (proposal.foreign) this.#neededPerson = true;
  }

  /** @returns the ending, with all that was skipped on the way there */
  end<Kind extends RunEnd>({ reason: told, ...ending }: Ending<Kind>): Ending<Kind> {
    const texts = [...(told === undefined ? [] : [told]), ...new Set(this.#waivers.map(waiverText))];
    const reason = texts.join('; ').slice(0, Math.max(longestReason, told?.length ?? 0));
    const why = texts.length > 0 && { reason };
    const endedAt = new Date().toISOString();
    this.#steps = this.#steps.map((step) =>
      openStatuses.includes(step.status) ? { ...step, status: 'stopped', endedAt } : step,
    );
    this.#waitingFor = undefined;
    this.#ended = { end: ending.end, ...why };
    this.#publish();
    this.#progress.write(this.state);
    return { ...ending, ...why };
  }

  #change(at: StepAt, change: (before: StepState) => StepState): void {
    this.#steps = this.#steps.map((known) => (nameOf(known) === nameOf(at) ? change(known) : known));
    this.#publish();
    this.#progress.write(
      this.state,
      this.#steps.find((known) => nameOf(known) === nameOf(at)),
    );
  }

  /** Columns cost an event of history each time, so they are written only when what they say has changed. */
  #publish(): void {
    this.#changedAt = new Date().toISOString();
    const { state } = this;
    const { status } = state;
    setCurrentDetails(rolloutInMarkdown(state));
    const stage = this.#steps.findLast((step) => step.stage !== undefined && step.status !== 'pending')?.stage;
    if (status === this.#published.status && stage === this.#published.stage) return;
    this.#publishMemo(state);
    this.#published = { status, stage };
    const proposedSeconds = this.#isProposalPublished ? undefined : this.#proposedSeconds;
    this.#isProposalPublished = this.#proposedSeconds !== undefined;
    upsertSearchAttributes([
      { key: searchAttributes.status, value: status },
      { key: searchAttributes.changedAt, value: new Date(this.#changedAt) },
      ...(stage === undefined ? [] : [{ key: searchAttributes.stage, value: stage }]),
      ...(proposedSeconds === undefined ? [] : [{ key: searchAttributes.proposedSeconds, value: proposedSeconds }]),
      ...(status === 'delivered'
        ? [{ key: searchAttributes.healthySeconds, value: this.#secondsSincePush(this.#changedAt) }]
        : []),
      ...(this.#ended !== undefined ? [{ key: searchAttributes.neededPerson, value: this.#neededPerson }] : []),
    ]);
  }

  #secondsSincePush(at: string): number {
    return Math.round((Date.parse(at) - Date.parse(this.#about.push.receivedAt)) / 1000);
  }

  /** Lists show why a rollout is blocked or how it ended, and what it proposed. */
  #publishMemo({ status, reason }: RunState): void {
    const isTold = status === 'blocked' || this.#ended !== undefined;
    if (!isTold && this.#published.status !== 'blocked') return;
    const proposal = Object.values(this.#proposals).at(-1);
    upsertMemo({ reason: isTold ? (reason ?? null) : null, ...(proposal !== undefined && { proposal: proposal.url }) });
  }

  /** Tells those who want to know of it. Does not wait: the rollout goes on at once. */
  notify(event: NoticeEvent, more: Pick<Notice, 'stage' | 'reason' | 'advice' | 'watched' | 'log'> = {}): void {
    const all = this.#about.plan.notify ?? [];
    // These would show for ever what was said last, because they did not ask for the end of the rollout.
    const areLeftOpen = event !== 'proposed' && endsStory({ event, ...more });
    const notifiers = [
      ...all.filter(({ events }) => events.includes(event)),
      ...all.filter(
        (notifier) =>
          areLeftOpen && !notifier.events.includes(event) && updatesInPlace(notifier) && this.#notified.has(targetKey(notifier)),
      ),
    ];
    if (notifiers.length === 0) return;
    for (const notifier of notifiers) this.#notified.add(targetKey(notifier));
    const notice = this.#noticeOf(event, more);
    const handedOver = CancellationScope.nonCancellable(() => queueNotice({ rollout: notice.rollout, notice, notifiers }));
    this.#underWay.push(handedOver.catch((error: unknown) => log.warn('people could not be told', { event, error })));
  }

  /** A rollout ends only when all of it is handed over. */
  async flushNotices(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #noticeOf(event: NoticeEvent, more: Partial<Notice>): Notice {
    this.#notices += 1;
    const { workflowId: rollout, runId } = workflowInfo();
    const { commit, sourceRepository, proven } = this.#about.push;
    const actor = pusherOf(this.#about.push);
    const { service, image, proposals, waivers } = this.state;
    const proposal = Object.values(proposals).at(-1)?.url;
    return {
      ...{ event, rollout, runId, number: this.#notices, at: new Date().toISOString(), service, image },
      ...more,
      ...(waivers !== undefined && { skipped: waivers }),
      ...(proposal !== undefined && { proposal }),
      ...(commit !== undefined && { commit }),
      ...(sourceRepository !== undefined && { sourceRepository }),
      ...(actor !== undefined && { actor }),
      ...(proven !== undefined && { proven }),
    };
  }
}

function skippedBy({ by, reason }: Waiver): string {
  return `skipped by ${by}: ${reason}`;
}

function isPlanned(stage: StagePlan, step: (typeof stageStepNames)[number], start: RolloutStart): boolean {
  const { change, approval } = stage;
  if (step === 'confirm') return !isByDigest(start);
  if (step === 'propose') return change !== undefined;
  if (step === 'approve') return approval !== undefined;
  if (step === 'merge') return change !== undefined && change.merge !== 'off';
  return step !== 'rollback' && stage[step] !== undefined;
}
