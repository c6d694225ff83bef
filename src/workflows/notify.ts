import {
  ActivityFailure,
  ApplicationFailure,
  allHandlersFinished,
  condition,
  continueAsNew,
  isCancellation,
  log,
  proxyActivities,
  setCurrentDetails,
  setHandler,
} from '@temporalio/workflow';
import type { Activities } from '../contracts/activities/index.ts';
import { type NoticeRequest, noticeSignal } from '../contracts/messages.ts';
import { heartbeatTimeout } from '../contracts/timing.ts';
import {
  addNotice,
  isAllTold,
  type NoticeQueues,
  nextNotice,
  noQueues,
  settleNotice,
  type TargetQueue,
  threadFor,
  type WaitingNotice,
} from '../domain/notice-queue.ts';
import type { RateLimited } from '../domain/outcomes.ts';
import { rateLimitMs } from '../domain/rate-limit.ts';
import { historyIsLong } from './long-lived.ts';

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;
const usual = {
  /** How long a notice is tried to be sent. */
  tryForMs: dayMs,
  /** Longest time from one look for something newer to tell to the next, while a target does not answer. */
  roundMs: 30 * minuteMs,
  /** After so long without anything new it ends; longer than the day that a blocked rollout waits for its decision. */
  idleMs: 2 * dayMs,
  /** How long it stays after the end of the rollout was sent, for notices that come twice. */
  lingerMs: minuteMs,
  /** After how many events of history it continues as new. */
  longestHistory: 4_000,
};
type NotifySettings = Readonly<typeof usual>;
/** How it begins, and what one run hands to the next. */
export interface NotifyStart extends Partial<NotifySettings> {
  readonly queues?: NoticeQueues;
}

/** A round ends early where there is no time left for its next try, and the next one must not begin at once. */
const pauseAfterRoundMs = 1_000;

/** Tells people about one rollout. Each target gets its notices in order; a broken one holds up neither the others nor the rollout. */
export async function notify(start: NotifyStart = {}): Promise<void> {
  const settings: NotifySettings = { ...usual, ...start };
  const queues = start.queues ?? noQueues();
  const telling = new Set<string>();
  let moving = false;
  let broken: unknown;
  const begin = (key: string): void => {
    const queue = queues.targets[key];
    if (queue === undefined || moving || telling.has(key)) return;
    telling.add(key);
    tellTarget(queue, settings, () => moving)
      .catch((error: unknown) => {
        broken ??= error;
      })
      .finally(() => telling.delete(key));
  };
  setHandler(noticeSignal, ({ notice, notifiers }: NoticeRequest) => {
    for (const key of addNotice(queues, notice, notifiers, Date.now())) begin(key);
  });
  for (const key of Object.keys(queues.targets)) begin(key);

  const isLong = () => historyIsLong(settings.longestHistory);
  for (;;) {
    await condition(() => telling.size === 0 || isLong());
    if (broken !== undefined) throw broken;
    if (telling.size > 0) break;
    const known = queues.seen.at(-1);
    const news = () => queues.seen.at(-1) !== known;
    const waitMs = queues.ended === undefined ? settings.idleMs : settings.lingerMs;
    // From here to the end nothing is awaited: a signal that comes meanwhile makes Temporal repeat this task with it.
    if (!(await condition(news, waitMs)) && allHandlersFinished() && isAllTold(queues)) return;
  }
  moving = true;
  await condition(() => telling.size === 0);
  if (broken !== undefined) throw broken;
  await continueAsNew<typeof notify>({ ...start, queues });
}

/** Tells one target everything that waits for it, until there is nothing more or the workflow moves on. */
async function tellTarget(queue: TargetQueue, settings: NotifySettings, moving: () => boolean): Promise<void> {
  for (let next = nextNotice(queue); next !== undefined && !moving(); next = nextNotice(queue)) {
    const leftMs = next.sinceMs + settings.tryForMs - Date.now();
    if (leftMs <= 0) {
      giveUp(queue, next, 'it could not be sent in time');
      continue;
    }
    const limit = await sendOnce(queue, next, Math.min(leftMs, settings.roundMs));
    if (limit !== undefined) await condition(moving, rateLimitMs(limit, Date.now()));
    else if (queue.waiting.includes(next)) await condition(moving, pauseAfterRoundMs);
  }
}

/** One round of tries. @returns the limit, where the target asked us to wait; otherwise it is settled, or stays for another round */
async function sendOnce(queue: TargetQueue, next: WaitingNotice, withinMs: number): Promise<RateLimited | undefined> {
  const thread = threadFor(queue, next);
  const { sendNotice } = proxyActivities<Pick<Activities, 'sendNotice'>>({
    startToCloseTimeout: '1m',
    heartbeatTimeout,
    scheduleToCloseTimeout: withinMs,
    retry: { initialInterval: '1s', maximumInterval: '5m' },
    summary: 'one notice to one target',
  });
  try {
    const { notifier } = queue;
    const outcome = await sendNotice({ notifier, notice: next.notice, ...(thread !== undefined && { thread }) });
    if (outcome.kind === 'rate-limited') return outcome;
    settleNotice(queue, next, outcome.thread);
  } catch (error) {
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
    const cause = error.cause;
    if (cause instanceof ApplicationFailure && cause.nonRetryable) giveUp(queue, next, cause.message);
    else setCurrentDetails(`${queue.notifier.kind}: ${cause?.message ?? error.message}`);
  }
  return undefined;
}

function giveUp(queue: TargetQueue, notice: WaitingNotice, reason: string): void {
  const { event, rollout } = notice.notice;
  log.warn('a notice was not sent', { notifier: queue.notifier.kind, event, rollout, reason });
  setCurrentDetails(`${queue.notifier.kind}: ${event} was not sent: ${reason}`);
  settleNotice(queue, notice);
}
