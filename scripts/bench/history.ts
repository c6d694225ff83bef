import type { WorkflowHandle } from '@temporalio/client';
import { requiredTsToMs } from '@temporalio/common/lib/time.js';

export type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>;
type Event = NonNullable<History['events']>[number];

/** One activity, from when it was scheduled to when its outcome was there; milliseconds since 1970. */
export interface ActivityTime {
  readonly name: string;
  /** A call to the lane, which runs in the worker itself and leaves one marker in the history. */
  readonly isLocal: boolean;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Where the time of one finished rollout went, in milliseconds. */
export interface RolloutTimes {
  /** From WorkflowExecutionStarted to WorkflowExecutionCompleted. */
  readonly wholeMs: number;
  /** The whole without the time in which at least one activity was scheduled or running: workflow tasks, and Temporal between steps. */
  readonly ownMs: number;
  /** The same, where calls to the lane count as the rollout's own time too. */
  readonly ownWithLaneMs: number;
  readonly activities: readonly ActivityTime[];
}

/** @throws Error where the history is not that of a completed workflow */
export function timesOf(history: History): RolloutTimes {
  const events = history.events ?? [];
  const [first, last] = [events[0], events.at(-1)];
  if (!first?.workflowExecutionStartedEventAttributes || !last?.workflowExecutionCompletedEventAttributes) {
    throw new Error('expected the history of a completed workflow, from its first event to its last');
  }
  const span = { fromMs: timeOf(first), toMs: timeOf(last) };
  const activities = [...remoteActivities(events), ...localActivities(events)].sort((a, b) => a.fromMs - b.fromMs);
  const outside = (some: readonly ActivityTime[]): number => span.toMs - span.fromMs - covered(some, span);
  return {
    wholeMs: span.toMs - span.fromMs,
    ownMs: outside(activities),
    ownWithLaneMs: outside(activities.filter(({ isLocal }) => !isLocal)),
    activities,
  };
}

/** Activities that are tried again are one pair of events, from their first schedule to their last outcome. */
function remoteActivities(events: readonly Event[]): ActivityTime[] {
  const ends = new Map(
    events.flatMap((event) => {
      const scheduled = closedActivity(event);
      return scheduled == null ? [] : [[String(scheduled), timeOf(event)]];
    }),
  );
  return events.flatMap((event) => {
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (!scheduled) return [];
    const name = scheduled.activityType?.name ?? '';
    const toMs = ends.get(String(event.eventId));
    if (toMs === undefined) throw new Error(`expected activity ${name} to have ended before its workflow did`);
    return [{ name, isLocal: false, fromMs: timeOf(event), toMs }];
  });
}

/** The id of the event that scheduled the activity which ends here. */
function closedActivity(event: Event) {
  const closed =
    event.activityTaskCompletedEventAttributes ??
    event.activityTaskFailedEventAttributes ??
    event.activityTaskTimedOutEventAttributes ??
    event.activityTaskCanceledEventAttributes;
  return closed?.scheduledEventId;
}

/** What the SDK writes into the marker of a local activity. */
interface LocalActivityRecord {
  readonly activity_type: string;
  readonly original_schedule_time: Time;
  readonly complete_time: Time;
}

interface Time {
  readonly seconds: number;
  readonly nanos: number;
}

function localActivities(events: readonly Event[]): ActivityTime[] {
  return events.flatMap((event) => {
    const marker = event.markerRecordedEventAttributes;
    const payload = marker?.details?.data?.payloads?.[0]?.data;
    if (marker?.markerName !== 'core_local_activity' || !payload) return [];
    const record = JSON.parse(Buffer.from(payload).toString('utf8')) as LocalActivityRecord;
    const toMs = ({ seconds, nanos }: Time): number => seconds * 1_000 + nanos / 1e6;
    return [
      {
        name: record.activity_type,
        isLocal: true,
        fromMs: toMs(record.original_schedule_time),
        toMs: toMs(record.complete_time),
      },
    ];
  });
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** How much of a span lies in at least one of the others. */
export function covered(spans: readonly Span[], within: Span): number {
  let [total, reached] = [0, within.fromMs];
  for (const { fromMs, toMs } of [...spans].sort((a, b) => a.fromMs - b.fromMs)) {
    const end = Math.min(toMs, within.toMs);
    total += Math.max(0, end - Math.max(fromMs, reached));
    reached = Math.max(reached, end);
  }
  return total;
}

function timeOf(event: Event): number {
  return requiredTsToMs(event.eventTime, 'eventTime');
}
