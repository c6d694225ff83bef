import { CancellationScope, log, proxyLocalActivities, workflowInfo } from '@temporalio/workflow';
import type { Activities } from '../../contracts/activities/index.ts';
import type { RolloutStart } from '../../contracts/messages.ts';
import type { Notice } from '../../domain/notice.ts';
import { endsStory, targetKey, updatesInPlace } from '../../domain/notice-queue.ts';
import type { NoticeEvent, NotifierPlan } from '../../domain/plan.ts';
import type { RolloutRecord } from './record.ts';

export type NoticeDetails = Pick<Notice, 'stage' | 'reason' | 'advice' | 'watched'>;

/** Handed over to a workflow that delivers it: one event of history, and nothing that a broken notifier could hold up. */
const calls = proxyLocalActivities<Pick<Activities, 'queueNotice'>>({
  startToCloseTimeout: '10s',
  retry: { initialInterval: '200ms', maximumInterval: '5s', maximumAttempts: 10 },
});

/** Tells people what happens to a rollout, where its plan names somebody who wants to know. */
export class RolloutNotifier {
  readonly #start: RolloutStart;
  readonly #record: RolloutRecord;
  readonly #underWay: Promise<void>[] = [];
  /** By key: the targets that got a notice. */
  readonly #notified = new Set<string>();
  #number = 0;

  constructor(start: RolloutStart, record: RolloutRecord) {
    this.#start = start;
    this.#record = record;
  }

  /** Does not wait: the rollout goes on at once. */
  notify(event: NoticeEvent, more: NoticeDetails = {}): void {
    const notifiers = [
      ...(this.#start.plan.notify ?? []).filter(({ events }) => events.includes(event)),
      ...this.#leftOpen(event, more),
    ];
    if (notifiers.length === 0) return;
    for (const notifier of notifiers) this.#notified.add(targetKey(notifier));
    const notice = this.#noticeOf(event, more);
    this.#underWay.push(CancellationScope.nonCancellable(() => handOver(notice, notifiers)));
  }

  /** Targets whose message would show for ever what was said last, because they did not ask for the end of the rollout. */
  #leftOpen(event: NoticeEvent, { stage }: NoticeDetails): NotifierPlan[] {
    if (!endsStory({ event, ...(stage !== undefined && { stage }) }) || event === 'proposed') return [];
    return (this.#start.plan.notify ?? []).filter(
      (notifier) => !notifier.events.includes(event) && updatesInPlace(notifier) && this.#notified.has(targetKey(notifier)),
    );
  }

  /** A rollout ends only when all of it is handed over. */
  async flush(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  #noticeOf(event: NoticeEvent, more: NoticeDetails): Notice {
    this.#number += 1;
    const { workflowId: rollout, runId } = workflowInfo();
    const { push, plan } = this.#start;
    const { image, proposals, waivers } = this.#record.state;
    const proposal = Object.values(proposals).at(-1)?.url;
    return {
      event,
      rollout,
      runId,
      number: this.#number,
      at: new Date().toISOString(),
      service: plan.service,
      image,
      ...more,
      ...(waivers !== undefined && { skipped: waivers }),
      ...(proposal !== undefined && { proposal }),
      ...(push.commit !== undefined && { commit: push.commit }),
      ...(push.sourceRepository !== undefined && { sourceRepository: push.sourceRepository }),
      ...(push.actor !== undefined && { actor: push.actor }),
    };
  }
}

async function handOver(notice: Notice, notifiers: readonly NotifierPlan[]): Promise<void> {
  try {
    await calls.queueNotice({ rollout: notice.rollout, notice, notifiers });
  } catch (error) {
    log.warn('people could not be told', { event: notice.event, error });
  }
}
