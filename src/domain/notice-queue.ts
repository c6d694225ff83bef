import { isOneOf } from './failures.ts';
import type { Notice } from './notice.ts';
import type { NotifierPlan } from './plan.ts';
import { ends } from './rollout-state.ts';

/** Notices to be sent, by target, so that a broken one does not delay the others. JSON-safe: one run of the workflow hands it to the next. */
export interface NoticeQueues {
  /** By `targetKey`. */
  readonly targets: Record<string, TargetQueue>;
  /** `RUN:NUMBER` of the notices that came, newest last: one that arrives twice is sent once. */
  seen: string[];
  /** Rises when a rollout that has ended runs again: that is a new story, with a message of its own. */
  episode: number;
  /** The run whose end has been sent, or is about to be. */
  ended?: string;
}

export interface TargetQueue {
  readonly notifier: NotifierPlan;
  readonly waiting: WaitingNotice[];
  thread?: { readonly episode: number; readonly found: Readonly<Record<string, string>> };
  /** The last notice that was sent. */
  last?: Pick<Notice, 'runId' | 'number' | 'stage'>;
}

export interface WaitingNotice {
  readonly notice: Notice;
  readonly episode: number;
  /** Milliseconds since 1970. */
  readonly sinceMs: number;
}

/** More than any rollout has to tell. */
const mostSeen = 500;

export function noQueues(): NoticeQueues {
  return { targets: {}, seen: [], episode: 0 };
}

/** Two entries of a plan are two targets, unless they are alike in everything. */
export function targetKey(notifier: NotifierPlan): string {
  return JSON.stringify(notifier);
}

/** Puts a notice into the queue of each of its targets. @returns the keys of the targets that have something new to send */
export function addNotice(
  queues: NoticeQueues,
  notice: Notice,
  notifiers: readonly NotifierPlan[],
  nowMs: number,
): readonly string[] {
  const id = `${notice.runId}:${notice.number}`;
  if (queues.seen.includes(id)) return [];
  queues.seen = [...queues.seen, id].slice(-mostSeen);
  if (queues.ended !== undefined && queues.ended !== notice.runId) {
    queues.episode += 1;
    delete queues.ended;
  }
  if (endsStory(notice)) queues.ended = notice.runId;
  const targets = new Map(notifiers.map((notifier) => [targetKey(notifier), notifier]));
  for (const [key, notifier] of targets) {
    queues.targets[key] ??= { notifier, waiting: [] };
    const { waiting } = queues.targets[key];
    // Notices are handed over side by side, so that one may be there before another that is older.
    const newer = waiting.findIndex((other) => other.notice.runId === notice.runId && other.notice.number > notice.number);
    waiting.splice(newer < 0 ? waiting.length : newer, 0, { notice, episode: queues.episode, sinceMs: nowMs });
  }
  return [...targets.keys()];
}

/**
 * The notice to send next, which stays in the queue until `settleNotice`. Those that a newer one of the same story has overtaken are dropped,
 * if the target shows them in the same place.
 */
export function nextNotice({ waiting, notifier, last }: TargetQueue): WaitingNotice | undefined {
  const isOne = updatesInPlace(notifier);
  for (let [first, second] = waiting; first !== undefined; [first, second] = waiting) {
    const { runId, number, stage } = first.notice;
    const isSamePlace = isOne || (notifier.updates === 'stage' && stage === last?.stage);
    const isLate = last !== undefined && isSamePlace && runId === last.runId && number < last.number;
    if (!isLate && !(isOne && second?.episode === first.episode)) return first;
    waiting.shift();
  }
  return undefined;
}

/** It was sent, or never will be. @param found by what later notices of the story find the message; absent: as before */
export function settleNotice(queue: TargetQueue, told: WaitingNotice, found?: Readonly<Record<string, string>>): void {
  const at = queue.waiting.indexOf(told);
  if (at >= 0) queue.waiting.splice(at, 1);
  const { runId, number, stage } = told.notice;
  queue.last = { runId, number, ...(stage !== undefined && { stage }) };
  if (found !== undefined) queue.thread = { episode: told.episode, found };
}

/** What an earlier notice of the same story left at the target. */
export function threadFor(queue: TargetQueue, { episode }: WaitingNotice): Readonly<Record<string, string>> | undefined {
  return queue.thread?.episode === episode ? queue.thread.found : undefined;
}

export function isAllTold({ targets }: NoticeQueues): boolean {
  return Object.values(targets).every(({ waiting }) => waiting.length === 0);
}

/** No more notices of this run are to come. A stage's `proposed` is on the way; that of the whole rollout is its end. */
export function endsStory({ event, stage }: Pick<Notice, 'event' | 'stage'>): boolean {
  return isOneOf(ends, event) && !(event === 'proposed' && stage !== undefined);
}

/** Whether it shows one message for a rollout, which is brought up to date. */
export function updatesInPlace(notifier: NotifierPlan): boolean {
  return notifier.updates === 'rollout';
}
